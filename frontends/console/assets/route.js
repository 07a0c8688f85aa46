// What the address says: which session, and which moment of it. `#session=…&at=17`.

/** `{session, at}`; null and 0 where nothing is said. */
export function route() {
  const said = new URLSearchParams(location.hash.slice(1));
  const at = Number(said.get("at"));
  return { session: said.get("session"), at: Number.isSafeInteger(at) && at > 0 ? at : 0 };
}

/** The address of a session, or of one moment of it. */
export function address(session, at = 0) {
  const said = new URLSearchParams(session ? { session } : {});
  if (at > 0) said.set("at", at);
  return `#${said}`;
}

/** Changes the address without coming back to it. */
export function replaceRoute(session, at = 0) {
  history.replaceState(null, "", address(session, at));
}
