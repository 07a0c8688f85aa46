// The console: connects its parts, and opens the session in the page's address.

import {
  at, clientName, createSession, describeSession, download, listServices, logout, me, recordsPath, requestName, submit,
} from "./api.js";
import { copyText, saveBlob, saveFrom, saveText } from "./clipboard.js";
import { confirmed, described, loggedIn } from "./dialogs.js";
import { find, setText } from "./dom.js";
import { listen } from "./keyboard.js";
import { failed, notice } from "./notices.js";
import { mayClose, mayRun, setRole } from "./role.js";
import { address, replaceRoute, route, sharedBy } from "./route.js";
import { Session } from "./session.js";
import { Sessions } from "./sessions.js";
import { share } from "./share.js";
import { turnTheme } from "./theme.js";
import { Welcome } from "./welcome.js";

const session = new Session({
  async refused(again) {
    await loggedIn();
    again();
  },
});
const sessions = new Sessions({
  async refused() {
    await loggedIn();
    sessions.look();
  },
});

const welcome = new Welcome();

/** Shows who is logged in and the logout button, if the server has accounts. */
async function introduce() {
  if (sharedBy) {
    find("app").classList.add("by-link");
    return setRole({ accounts: true, name: null, role: "viewer" });
  }
  try {
    const known = await me();
    const { accounts, name, role } = known;
    setRole(known);
    session.changed();
    sessions.setSeesAll(!accounts || role === "admin");
    find("logout").hidden = find("account").hidden = !accounts;
    setText(find("account"), accounts ? `${name} · ${role}` : "");
    setText(find("welcome-text"), mayRun() ? RUNS : WATCHES);
    await offerServices();
  } catch (error) {
    if (error.status !== 401) return failed(error);
    await loggedIn();
    await introduce();
  }
}

/** Offers the services for new sessions, if there are several. */
async function offerServices() {
  try {
    const { services } = await listServices();
    const options = services.map((name) => new Option(name, name, false, name === "shell"));
    find("service").replaceChildren(...options);
    find("services").hidden = services.length < 2;
  } catch (error) {
    if (error.status !== 401) failed(error);
  }
}

async function leave() {
  try {
    await logout();
    location.reload();
  } catch (error) {
    failed(error);
  }
}

function follow() {
  const { session: wanted, at, line } = route();
  const link = new URLSearchParams(location.hash.slice(1)).get("link");
  // Only another session was typed into the address of a link: the link stays, and the page says what it shows.
  if (sharedBy && link === null && wanted !== null && wanted !== session.id) replaceRoute(wanted, at, line);
  // Another link, or none: the page begins anew with it.
  else if (link !== sharedBy) return location.reload();
  find("app").dataset.view = wanted ? "session" : "list";
  find("welcome").hidden = wanted !== null;
  sessions.choose(wanted);
  session.search.leave(wanted);
  welcome.look();
  if (wanted === null) {
    session.leave();
    session.notifier.setTitle("Rejoin");
  } else {
    session.open(wanted, line ? at || line.sequence : at, line);
    if (wanted === created) session.prompt.focus();
  }
}

/** The session last created on this page. */
let created = null;

async function create() {
  try {
    created = (await createSession(find("service").value)).id;
    location.hash = address(created);
    sessions.look();
  } catch (error) {
    if (error.status !== 401) return failed(error);
    await loggedIn();
    await create();
  }
}

/** Makes a session with a shell in a terminal. */
async function createShell() {
  try {
    const { id } = await createSession(find("service").value);
    // The terminal gets the size of the window when it is shown.
    await submit(id, "", requestName(), { terminal: { columns: 80, rows: 24 }, client: clientName() });
    session.focusTerminal();
    location.hash = address(id);
    sessions.look();
  } catch (error) {
    if (error.status !== 401) return failed(error);
    await loggedIn();
    await createShell();
  }
}

/** Copies the address of what is shown. */
async function copyAddress() {
  if (!session.id) return;
  const at = session.timeline.sequence;
  const line = session.screen.selectedLine() ?? session.search.current;
  const isCopied = await copyText(new URL(address(session.id, at, line), location.href).href);
  if (!isCopied) return notice("The browser does not allow access to the clipboard. Copy the link from the address bar.");
  if (line) return notice("Copied a link to this line.");
  notice(at > 0 ? "Copied a link to this moment." : "Copied a link to this session.");
}

/** Offers the address, and links for those without an account. */
function shareSession() {
  const { id, detail } = session;
  if (!id || sharedBy) return copyAddress();
  share({ id, mayShare: mayClose(detail?.user), copy: copyAddress });
}

async function copyAll() {
  if (await copyText(session.text())) notice("Copied the text.");
}

/** Edits the session's title and labels. */
async function describe() {
  const { id, detail } = session;
  if (!detail) return;
  await described(detail, async (change) => {
    Object.assign(detail, await describeSession(id, change));
    session.changed();
    sessions.look();
  });
}

/** Opens the bar that searches the output. */
function search() {
  if (session.id) session.search.show(session.id);
}

/** Downloads the session as a recording, in the version that every player knows. */
async function saveRecording() {
  const path = recordsPath(session.id, "asciicast-v2");
  const name = `rejoin-${session.id}.cast`;
  if (!sharedBy) return saveFrom(at(path), name);
  try {
    saveBlob(name, await download(path));
  } catch (error) {
    failed(error);
  }
}

function turnWrap() {
  const wraps = find("wrap").getAttribute("aria-checked") !== "true";
  find("wrap").setAttribute("aria-checked", String(wraps));
  session.screen.setWrap(wraps);
}

async function close() {
  const title = "Close this session?";
  const text = "Running commands are interrupted. The output stays in the log and can still be read and replayed.";
  if (await confirmed(title, text, "Close session")) await session.close();
}

async function remove() {
  const title = "Delete this session?";
  const text = "Running commands are interrupted. All that they printed is deleted from the server, for everybody.";
  if (await confirmed(title, text, "Delete session")) await session.remove();
}

function turnJobs() {
  const frame = find("session");
  const isShown = frame.dataset.jobs ? frame.dataset.jobs === "shown" : innerWidth > WIDE;
  frame.dataset.jobs = isShown ? "hidden" : "shown";
  find("show-jobs").setAttribute("aria-pressed", String(!isShown));
}

/** Calls `action` on a click; items of the menu also close it. */
function press(name, action) {
  find(name).addEventListener("click", () => {
    find("menu").hidePopover?.();
    action();
  });
}

/** What the page without a session says to those who run commands, and to those who watch. */
const RUNS = find("welcome-text").textContent;
const WATCHES =
  "A session runs commands and keeps everything they print. Your account has the role viewer: it watches. Open the link of a session that somebody has shared with you.";

/** The page width from which the jobs panel is open by default; keep equal to layout.css. */
const WIDE = 1_100;

press("create", create);
press("welcome-create", create);
press("create-shell", createShell);
press("welcome-shell", createShell);
press("open-shell", () => session.openShell());
press("logout", leave);
press("theme", turnTheme);
press("share", shareSession);
press("search-open", search);
press("describe", describe);
press("wrap", turnWrap);
press("raw", () => session.id && open(at(`/sessions/${encodeURIComponent(session.id)}/output`), "_blank", "noopener"));
press("copy", copyAll);
press("download-records", () => saveFrom(at(recordsPath(session.id)), `rejoin-${session.id}.jsonl`));
press("download-recording", saveRecording);
press("download", () => saveText(`rejoin-${session.id}.txt`, session.text()));
press("fold-all", () => session.screen.foldAll());
press("close", close);
press("delete", remove);
press("notify", () => session.notifier.turn());
press("show-jobs", turnJobs);
find("show-jobs").setAttribute("aria-pressed", String(innerWidth > WIDE));

const help = listen({
  interrupt() {
    if (find("session").hidden || find("interrupt").hidden || !mayRun()) return false;
    session.prompt.interrupt();
    return true;
  },
  focus: () => session.prompt.focus(),
  filter: () => find("filter").focus(),
  search() {
    // The second Ctrl-F is the browser's.
    if (!session.id || document.activeElement === find("search-text")) return false;
    search();
    return true;
  },
  describe,
  create,
  createShell,
  beside(step) {
    const id = sessions.beside(step);
    if (id) location.hash = address(id);
  },
  play: () => session.id && session.timeline.toggle(),
  step: (direction) => session.id && session.timeline.step(direction),
  live: () => session.id && session.toEnd(),
  jobs: turnJobs,
  foldAll: () => session.screen.foldAll(),
  share: copyAddress,
  theme: turnTheme,
  leave(isTyping) {
    if (isTyping) find("screen").focus();
    else session.prompt.focus();
  },
});
press("help", help);
press("prompt-keys", help);

window.addEventListener("hashchange", follow);
follow();
introduce();
