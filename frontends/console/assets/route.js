// What the address says: which session, and which moment of it. `#session=…&at=17`.

/**
 * The secret of the link by which the page was opened, or null. It stays in the address, behind `#`, which
 * browsers do not send.
 */
export const sharedBy = new URLSearchParams(location.hash.slice(1)).get("link");

/** `{session, at, line}`; null and 0 where nothing is said. A line is `{sequence, row}`. */
export function route() {
  const said = new URLSearchParams(location.hash.slice(1));
  const at = Number(said.get("at"));
  const [, sequence, row] = /^(\d{1,15})(?:\.(\d{1,9}))?$/.exec(said.get("line") ?? "") ?? [];
  return {
    session: said.get("session"),
    at: Number.isSafeInteger(at) && at > 0 ? at : 0,
    line: sequence ? { sequence: Number(sequence), row: Number(row ?? 0) } : null,
  };
}

/** The address of a session, of one moment of it, or of one line of its output. */
export function address(session, at = 0, line = null) {
  const said = new URLSearchParams(session ? { session } : {});
  if (at > 0) said.set("at", at);
  if (line) said.set("line", placeText(line));
  if (sharedBy) said.set("link", sharedBy);
  return `#${said}`;
}

/** Changes the address without coming back to it. */
export function replaceRoute(session, at = 0, line = null) {
  history.replaceState(null, "", address(session, at, line));
}

/** Where a line of output begins, as it stands in an address: the event, and its row in it. */
function placeText({ sequence, row }) {
  return row > 0 ? `${sequence}.${row}` : `${sequence}`;
}
