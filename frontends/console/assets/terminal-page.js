// terminal.html: one terminal, for those who type and those who watch.
//
// The address says which: `#session=…&job=3`. Without a job the page offers to start a shell. As a
// frame of the console (`&frame`) it has no head, and tells the console how high its content is.

import { clientName, createSession, me, requestName, submit } from "./api.js";
import { copyText } from "./clipboard.js";
import { loggedIn } from "./dialogs.js";
import { find, setText } from "./dom.js";
import { capitalized, ending, jobStatus } from "./format.js";
import { LONGEST_TITLE } from "./limits.js";
import { failed, notice } from "./notices.js";
import { address as consoleAddress, sharedBy } from "./route.js";
import { StatusBadge } from "./status.js";
import { TerminalLink } from "./terminal-link.js";
import { TerminalView } from "./terminal-view.js";
import { turnTheme } from "./theme.js";
import { Viewers } from "./viewers.js";

/** The terminal that is shown; null before there is one. */
let link = null;
let session = null;
let isFrame = false;
let mayType = true;
/** The height in pixels that the console has for the frame. */
let capacity = 0;
/** The largest height of the content so far: a frame that shrinks would make the page jump. */
let tallest = 0;
let telling = 0;

const page = document.querySelector(".terminal-page");
const viewers = new Viewers();
const status = new StatusBadge(() => link?.retry());
const view = new TerminalView(find("terminal"), {
  typed: (bytes) => typed(bytes),
  copy: async (text) => (await copyText(text)) || notice("The browser does not allow access to the clipboard."),
  title: (title) => entitle(title),
  drawn: () => tellHeight(),
});


function follow() {
  const said = new URLSearchParams(location.hash.slice(1));
  const job = Number(said.get("job"));
  session = said.get("session");
  isFrame = said.has("frame") && parent !== window;
  document.documentElement.classList.toggle("is-frame", isFrame);
  link?.close();
  link = null;
  tallest = 0;
  find("console").href = session ? `../${consoleAddress(session)}` : "../";
  const isKnown = session !== null && Number.isSafeInteger(job) && job > 0;
  find("offer").hidden = isKnown || isFrame;
  // In a frame, the console around it says who is here.
  viewers.open(isKnown && !isFrame ? session : null);
  if (isKnown) open(job);
  else offer("A terminal that goes on when you close the page, and that others can watch.");
}

function open(job) {
  // A reload gives control back, and takes it again if nobody else has.
  const hadControl = kept(controls(job));
  find("whole").hidden = !isFrame;
  find("whole").href = address(session, job);
  status.show({ name: "connecting" });
  const opened = new TerminalLink(session, job, {
    screen: (screen) => opened === link && view.show(screen),
    output: (bytes, at) => opened === link && view.write(bytes, at),
    size: (size) => opened === link && resized(size),
    controller: () => opened === link && controlled(),
    ended: (ended, message) => opened === link && end(ended, message),
    state: (state) => opened === link && status.show(state),
    failed: (error) => opened === link && refused(error),
  });
  link = opened;
  link.open().then(() => opened === link && begun(hadControl));
}

/** The terminal has been read for the first time. */
function begun(hadControl) {
  if (!link.view) return;
  entitle("");
  view.setRowHeight(isFrame && link.view.statement.trim() !== "" ? ROW_HEIGHT : 0);
  fitToWindow();
  if (hadControl && mayType && !link.isEnded && link.controller === null) link.take();
  if (!isFrame || document.hasFocus()) view.terminal.focus();
}

function typed(bytes) {
  if (!link?.view || link.isEnded) return;
  if (mayType && (link.isMine || link.controller === null)) return link.type(withControlKey(bytes));
  // Show why nothing happens.
  page.classList.add("is-flashing");
  setTimeout(() => page.classList.remove("is-flashing"), 400);
}

function controlled() {
  const { isMine, isEnded, controller } = link;
  const wasMine = view.isMine;
  view.isMine = isMine && !isEnded;
  page.classList.toggle("is-watched", !view.isMine);
  view.terminal.options.cursorBlink = view.isMine;
  find("take").hidden = isEnded || isMine || !mayType;
  find("give").hidden = isEnded || !isMine;
  setText(find("control"), controlText(isMine, controller));
  keep(controls(link.view.job), isMine);
  view.fit();
  if (view.isMine && !wasMine) fitToWindow();
  drawSize();
}

function controlText(isMine, controller) {
  if (link.isEnded) return "";
  if (isMine) return "You type here.";
  const who = controller && (controller.user ?? "Another window");
  if (!mayType) return who ? `You watch; ${who} types.` : "You watch.";
  if (!who) return "Nobody types here: type to begin.";
  return `You watch; ${who === "Another window" ? "another window" : who} types.`;
}

function resized(size) {
  view.setSize(size);
  drawSize();
}

/** Gives the terminal the size of the window, if this window may do that. */
function fitToWindow() {
  if (!link?.isMine || link.isEnded) return view.fit();
  view.fit();
  const { wanted } = view;
  if (!wanted || wanted.columns < 2 || wanted.rows < 1) return;
  const { columns, rows } = link.size;
  if (wanted.columns !== columns || wanted.rows !== rows) link.resize(wanted);
}

function drawSize() {
  const { size } = link;
  setText(find("size"), size ? `${size.columns}×${size.rows}` : "");
}

function end({ outcome, status: exit }, message) {
  controlled();
  status.show({ name: "ended" });
  view.terminal.options.cursorStyle = "underline";
  const how = ending({ outcome, status: exit }, message) ?? jobStatus({ state: "finished", outcome });
  setText(find("control"), `The program has ended: ${how}.`);
  tellHeight();
}

function refused(error) {
  if (error.code === "link_ended") return offer("This link has ended: its time is over, or somebody has removed it.");
  if (error.status === 401) return loggedIn().then(() => (introduce(), link.open()));
  if (error.status === 410) return offer(capitalized(error.message));
  if (error.status === 404 && sharedBy) return offer("The link shows one session alone, and there is no such terminal in it.");
  if (error.status === 404) return offer("There is no such terminal on this server, or it was removed.");
  failed(error);
}

function offer(text) {
  status.show({ name: link ? "unknown" : "ended" });
  find("state").hidden = !link;
  find("offer").hidden = false;
  setText(find("offer-text"), text);
}

/** Starts a login shell, in the session that the address names or in a new one. */
async function start() {
  try {
    const into = session ?? (await createSession()).id;
    const { columns, rows } = view.wanted ?? { columns: 80, rows: 24 };
    const options = { terminal: { columns, rows }, client: clientName() };
    const { job } = await submit(into, "", requestName(), options);
    find("state").hidden = false;
    location.hash = address(into, job).split("#")[1];
  } catch (error) {
    if (error.status !== 401) return failed(error);
    await loggedIn();
    await start();
  }
}

function address(into, job) {
  const said = { session: into, job, ...(sharedBy ? { link: sharedBy } : {}) };
  return `terminal.html#${new URLSearchParams(said)}`;
}

/** A title that a program has set is text like its output. */
function entitle(said) {
  const title = said.replace(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, "").slice(0, LONGEST_TITLE);
  const command = (link?.view?.statement ?? "").split("\n")[0] || "Shell";
  setText(find("what"), title || command);
  document.title = `${title || command} · Rejoin`;
}

/** Tells the console how high the frame has to be, once in each frame that is drawn. */
function tellHeight() {
  if (!isFrame || telling) return;
  telling = requestAnimationFrame(() => {
    telling = 0;
    if (link?.view) tellHeightNow();
  });
}

function tellHeightNow() {
  const { used, all } = view.heights;
  const isShell = link.view.statement.trim() === "";
  const rows = Math.min(Math.max(tallest, isShell && !link.isEnded ? all : used), capacity || all);
  tallest = rows;
  const rest = [find("touch-keys"), document.querySelector(".terminal-foot")];
  const height = Math.ceil(rows) + rest.reduce((sum, it) => sum + it.offsetHeight, 0);
  const size = link.isMine ? view.wanted : null;
  parent.postMessage({ rejoin: "height", job: link.view.job, height, size }, location.origin);
}

/** The console says how high the frame may become. */
function hear(message) {
  if (message.source !== parent || message.origin !== location.origin) return;
  // The focus may have gone elsewhere while the message was on its way.
  if (message.data?.rejoin === "focus") return document.hasFocus() && view.terminal.focus();
  if (message.data?.rejoin !== "room") return;
  const rest = [find("touch-keys"), document.querySelector(".terminal-foot")];
  capacity = Math.max(40, message.data.height - rest.reduce((sum, it) => sum + it.offsetHeight, 0));
  find("terminal").style.height = `${capacity}px`;
  tallest = Math.min(tallest, capacity);
  fitToWindow();
  tellHeight();
}

async function introduce() {
  if (sharedBy) {
    mayType = false;
    find("start").hidden = true;
    return;
  }
  try {
    const { role } = await me();
    mayType = role !== "viewer";
    if (link?.view) controlled();
  } catch (error) {
    if (error.status !== 401) return failed(error);
    await loggedIn();
    await introduce();
  }
}

/** Pixels of a row in the console; keep equal to theme.css. */
const ROW_HEIGHT = 20;

const KEYS = {
  Escape: ["\x1b", "\x1b"],
  Tab: ["\t", "\t"],
  ArrowUp: ["\x1b[A", "\x1bOA"],
  ArrowDown: ["\x1b[B", "\x1bOB"],
  ArrowRight: ["\x1b[C", "\x1bOC"],
  ArrowLeft: ["\x1b[D", "\x1bOD"],
};

/** The row of keys that phones don't have. */
function listenToTouchKeys() {
  const control = find("control-key");
  // The keyboard of the phone stays open while the terminal keeps the focus.
  find("touch-keys").addEventListener("pointerdown", (it) => it.preventDefault());
  find("touch-keys").addEventListener("click", async (it) => {
    const { key } = it.target.dataset;
    if (key) {
      const { applicationCursorKeysMode } = view.terminal.modes;
      view.input(KEYS[key][applicationCursorKeysMode ? 1 : 0]);
    } else if (it.target === control) {
      setControl(control.getAttribute("aria-pressed") !== "true");
    } else if (it.target.id === "paste") {
      const text = await navigator.clipboard?.readText().catch(() => null);
      if (typeof text === "string") view.terminal.paste(text);
      else notice("The browser does not allow access to the clipboard. Press long in the terminal to paste.");
    }
    view.terminal.focus();
  });
}

function setControl(isOn) {
  find("control-key").setAttribute("aria-pressed", String(isOn));
}

/** What is typed while the Ctrl of the row of keys is on, which then goes off. */
function withControlKey(bytes) {
  if (find("control-key").getAttribute("aria-pressed") !== "true") return bytes;
  setControl(false);
  const isLetter = bytes.length === 1 && bytes[0] >= 0x40 && bytes[0] < 0x7f;
  return isLetter ? Uint8Array.of(bytes[0] & 0x1f) : bytes;
}

/** The name under which the window remembers that it types into a terminal. */
function controls(job) {
  return `rejoin-controls ${session} ${job}`;
}

function kept(name) {
  try {
    return sessionStorage.getItem(name) !== null;
  } catch {
    return false;
  }
}

function keep(name, isKept) {
  try {
    if (isKept) sessionStorage.setItem(name, "yes");
    else sessionStorage.removeItem(name);
  } catch {
    // Without storage, a reload has to take control by hand.
  }
}

find("take").addEventListener("click", () => {
  link.take();
  view.terminal.focus();
});
find("give").addEventListener("click", () => link.giveBack());
find("theme").addEventListener("click", turnTheme);
find("start").addEventListener("click", start);
window.addEventListener("message", hear);
// When the window gets the focus back, keys go to the terminal again.
if (isFrame) window.addEventListener("focus", () => document.activeElement === document.body && view.terminal.focus());
window.addEventListener("hashchange", follow);
window.addEventListener("pagehide", () => link?.close());
window.addEventListener("pageshow", (it) => it.persisted && follow());
let settling = 0;
new ResizeObserver(() => {
  clearTimeout(settling);
  settling = setTimeout(fitToWindow, 100);
}).observe(find("terminal"));
document.fonts?.ready.then(fitToWindow);
listenToTouchKeys();
follow();
introduce();
if (isFrame) parent.postMessage({ rejoin: "ready" }, location.origin);
