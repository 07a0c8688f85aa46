// Commands that wait until the running one has ended. Only this page knows them: they run while it is
// open, and a reload keeps them.
//
// Invariant: each command runs at most once, under the name of a request that it has from the beginning.

import { requestName } from "./api.js";
import { find, make, setText } from "./dom.js";
import { QUEUED_STATEMENTS } from "./limits.js";

/** The commands that wait in the open session. `on.run` runs one: `(statement, request)`. */
export class Queue {
  #on;
  #session = null;
  /** `{statement, request}` each, the next first. */
  #waiting = [];
  /** Why the next one does not run by itself; null if it does. */
  #held = null;
  #isSending = false;
  /** A command that ended while one was being sent: mostly that one. */
  #endedEarly = null;

  constructor(on) {
    this.#on = on;
  }

  get isEmpty() {
    return this.#waiting.length === 0;
  }

  get isFull() {
    return this.#waiting.length >= QUEUED_STATEMENTS;
  }

  /** Switches to another session. What waited there before a reload waits for a click. */
  open(session) {
    this.#session = session;
    this.#waiting = session ? kept(session) : [];
    this.#held = this.isEmpty ? null : "the page was loaded again";
    this.#draw();
  }

  /** Adds a command. */
  add(statement) {
    this.#waiting.push({ statement, request: requestName() });
    this.#changed();
  }

  /** The command before has ended: runs the next one, unless that one was stopped. */
  ended(job) {
    if (this.isEmpty || this.#held) return;
    // A short command has ended before the answer that it was taken is here.
    if (this.#isSending) return (this.#endedEarly = job);
    this.#held = stopped(job);
    if (this.#held) this.#draw();
    else this.#run();
  }

  async #run() {
    if (this.#isSending || this.isEmpty) return;
    const [{ statement, request }] = this.#waiting;
    const session = this.#session;
    this.#isSending = true;
    let problem = null;
    try {
      await this.#on.run(statement, request);
    } catch (error) {
      problem = error;
    }
    this.#isSending = false;
    const early = this.#endedEarly;
    this.#endedEarly = null;
    if (session !== this.#session) return;
    // Another window was faster: it waits for that command, too.
    if (problem?.status === 409) return this.#draw();
    this.#held = problem?.message ?? null;
    if (!problem) this.#waiting.shift();
    this.#changed();
    if (early && !problem) this.ended(early);
  }

  #changed() {
    if (this.isEmpty) this.#held = null;
    keep(this.#session, this.#waiting);
    this.#draw();
  }

  #draw() {
    find("queue").hidden = this.isEmpty;
    find("queue").replaceChildren(...this.#waiting.map((item, at) => this.#item(item, at === 0)));
  }

  #item(item, isNext) {
    const code = make("code", { textContent: item.statement.split("\n")[0], title: item.statement.slice(0, 500) });
    const state = make("span", { className: "why" });
    const isHeld = isNext && this.#held !== null;
    setText(state, isHeld ? `Not run: ${this.#held}.` : isNext ? "Runs next" : "Then");
    const run = make("button", { className: "button small", type: "button", textContent: "Run" });
    run.hidden = !isHeld;
    run.addEventListener("click", () => {
      this.#held = null;
      this.#run();
    });
    const remove = make("button", { className: "button small quiet", type: "button", textContent: "Remove" });
    remove.addEventListener("click", () => {
      this.#waiting = this.#waiting.filter((it) => it !== item);
      this.#changed();
      find("statement").focus();
    });
    return make("li", { className: isHeld ? "is-held" : "" }, state, code, run, remove);
  }
}

/** Why nothing runs after a job by itself: it was stopped; null if it has ended by itself. */
function stopped({ outcome, status, isInterrupting, lines }) {
  const command = lines[0].text;
  // Shells say so of a program that a signal has ended: Ctrl-C in a terminal, for example.
  const isKilled = isInterrupting || (outcome === "failed" && status > 128);
  if (outcome === "interrupted" || isKilled) return `${command} was interrupted`;
  if (outcome === "completed" || outcome === "failed") return null;
  return outcome === "timed-out" ? `${command} timed out` : `${command} was lost`;
}

const name = (session) => `rejoin-queue ${session}`;

function kept(session) {
  try {
    const items = JSON.parse(sessionStorage.getItem(name(session)) ?? "[]");
    const isItem = (it) => typeof it?.statement === "string" && typeof it?.request === "string";
    return items.filter(isItem).slice(0, QUEUED_STATEMENTS);
  } catch {
    return [];
  }
}

function keep(session, items) {
  try {
    if (items.length > 0) sessionStorage.setItem(name(session), JSON.stringify(items));
    else sessionStorage.removeItem(name(session));
  } catch {
    // Without storage, a reload forgets them.
  }
}
