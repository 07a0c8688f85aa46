// The command line: commands with history, each of which gets a terminal; input for a running job; and
// what to do with a command while another runs.
//
// Invariant: a command never runs twice because a response was lost. Each has a unique request name
// under which it is sent again.

import { clientName, interrupt, requestName, submit, type, write } from "./api.js";
import { find, setText } from "./dom.js";
import { shortPath } from "./format.js";
import { QUEUED_STATEMENTS, REMEMBERED_STATEMENTS } from "./limits.js";
import { failed, notice } from "./notices.js";
import { Queue } from "./queue.js";

/**
 * The prompt of the open session. `on.sent` is called with the job when a command was accepted; `on.size`
 * says which size the terminal of one is to have.
 */
export class Prompt {
  #on;
  #session = null;
  #history = [];
  #back = 0;
  #draft = "";
  #job = null;
  /** The job last described, so that an error message stays until something changes. */
  #shown = null;
  #isSending = false;
  /** The line that is being sent, and whether Enter was pressed for another meanwhile. */
  #sent = "";
  #isPressed = false;
  /** The name of the request being sent, or whose response was lost. */
  #request = null;
  #field = find("statement");
  #queue = new Queue({ run: (statement, request) => this.#submit(statement, request, false) });

  constructor(on) {
    this.#on = on;
    find("prompt").addEventListener("submit", (it) => {
      it.preventDefault();
      this.#send();
    });
    this.#field.addEventListener("input", () => this.#edited());
    this.#field.addEventListener("keydown", (it) => this.#key(it));
    find("interrupt").addEventListener("click", () => this.interrupt());
    find("background").addEventListener("change", () => this.#describe());
    find("choice-next").addEventListener("click", () => this.#wait());
    find("choice-beside").addEventListener("click", () => this.#send(true));
    find("choice-input").addEventListener("click", () => this.#type());
    find("choice-no").addEventListener("click", () => this.#choose(false));
    find("choice").addEventListener("keydown", (it) => this.#choiceKey(it));
  }

  /** Switches to another session, with its own draft and history. */
  open(session) {
    this.#session = session;
    this.#history = [];
    this.#back = 0;
    this.#job = this.#shown = null;
    this.#isPressed = false;
    this.#queue.open(session);
    this.#choose(false);
    this.setDirectory(null);
    this.#set(read(session));
    this.#describe();
  }

  /** Whether a command waits for the running one to end. */
  get isWaiting() {
    return !this.#queue.isEmpty;
  }

  /** Shows the directory in which the next command runs, if it is known. */
  setDirectory(path) {
    find("directory").hidden = !path;
    find("directory").title = path ?? "";
    setText(find("directory"), path ? shortPath(path) : "");
  }

  /** Adds commands, oldest first, to the history that the arrow keys browse. */
  remember(statements) {
    for (const statement of statements) {
      if (this.#history[this.#history.length - 1] !== statement) this.#history.push(statement);
    }
    this.#history.splice(0, this.#history.length - REMEMBERED_STATEMENTS);
  }

  /** Clears the history, before a longer one is loaded. */
  forget() {
    this.#history = [];
  }

  /** The job that runs in the foreground, or null. */
  setJob(job) {
    const before = this.#job;
    const shown = `${job?.job} ${job?.takesInput}`;
    this.#job = job;
    if (shown === this.#shown) return;
    this.#shown = shown;
    find("interrupt").hidden = job === null;
    this.#choose(false);
    this.#describe();
    if (before && !job) this.#queue.ended(before);
  }

  /** Whether the next key would go into an empty command line. */
  get isIdle() {
    return document.activeElement === this.#field && this.isEmpty;
  }

  get isEmpty() {
    return this.#field.value === this.#sent;
  }

  focus() {
    this.#field.focus();
  }

  /** Interrupts the foreground job. */
  async interrupt() {
    if (!this.#job) return;
    try {
      await interrupt(this.#session, this.#job.job);
    } catch (error) {
      if (error.status !== 409) failed(error);
    }
  }

  get #writes() {
    return this.#job?.takesInput === true && !find("background").checked;
  }

  async #send(background = find("background").checked) {
    if (this.#isSending) {
      // The line that is on its way is not meant, unless it is the same.
      this.#isPressed = this.#field.value !== this.#sent;
      return;
    }
    if (this.#writes && !background) return this.#write(`${this.#field.value}\n`, false);
    const statement = this.#field.value;
    if (statement.trim() === "") return;
    if (this.#job && !background) return this.#choose(true);
    this.#choose(false);
    const session = this.#session;
    this.#isSending = true;
    this.#sent = statement;
    try {
      await this.#submit(statement, (this.#request ??= requestName()), background);
      if (session !== this.#session) return;
      this.#taken(statement);
    } catch (error) {
      if (error.status > 0) this.#request = null;
      this.#say(error.message, true);
    } finally {
      this.#sentAll();
      if (!find("hint").classList.contains("bad")) this.#describe();
    }
  }

  async #submit(statement, request, background) {
    const session = this.#session;
    const options = { background, terminal: this.#on.size(), client: clientName() };
    const { job } = await insist(() => submit(session, statement, request, options));
    if (session === this.#session) this.#on.sent(job);
  }

  /** The command is on its way: the line is free for the next, unless that is in it already. */
  #taken(statement) {
    this.#request = null;
    this.remember([statement]);
    this.#back = 0;
    if (this.#field.value === statement) this.#set("");
    find("background").checked = false;
  }

  async #write(text, end) {
    const { job } = this.#job;
    const { value } = this.#field;
    this.#isSending = true;
    this.#sent = value;
    try {
      await write(this.#session, job, text, end);
      if (this.#field.value === value) this.#set("");
    } catch (error) {
      failed(error);
    } finally {
      this.#sentAll();
    }
  }

  /** What was on its way has arrived: sends what was entered meanwhile. */
  #sentAll() {
    this.#isSending = false;
    this.#sent = "";
    if (!this.#isPressed) return;
    this.#isPressed = false;
    this.#send();
  }

  /** Asks what to do with a command while another runs. */
  #choose(isAsked) {
    const wasAsked = !find("choice").hidden;
    find("choice").hidden = !isAsked;
    if (isAsked) {
      setText(find("choice-text"), `Still running: ${this.#job.lines[0].text.slice(0, 60)}`);
      find("choice-input").hidden = !this.#job.isTerminal || this.#job.isUnused;
      find("choice-next").focus();
    } else if (wasAsked && find("choice").contains(document.activeElement)) {
      this.#field.focus();
    }
  }

  #choiceKey(key) {
    const shown = [...find("choice").querySelectorAll("button:not([hidden])")];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key.key];
    if (key.key === "Escape") this.#choose(false);
    else if (step) shown.at((shown.indexOf(document.activeElement) + step) % shown.length).focus();
    else return;
    key.preventDefault();
    key.stopPropagation();
  }

  /** The command waits until the running one has ended. */
  #wait() {
    if (this.#queue.isFull) return this.#say(`${QUEUED_STATEMENTS} commands wait already.`, true);
    const statement = this.#field.value;
    this.#choose(false);
    this.#queue.add(statement);
    this.#taken(statement);
    this.#field.focus();
  }

  /** The line is typed into the running program's terminal. */
  async #type() {
    const { value } = this.#field;
    const { job } = this.#job;
    this.#choose(false);
    try {
      await type(this.#session, job, clientName(), new TextEncoder().encode(`${value.replaceAll("\n", "\r")}\r`));
      if (this.#field.value === value) this.#set("");
    } catch (error) {
      this.#say(error.message, true);
    }
  }

  #edited() {
    this.#request = null;
    this.#choose(false);
    this.#grow();
    keep(this.#session, this.#field.value);
    this.#describe();
  }

  #key(key) {
    if (key.isComposing) return;
    const plain = !key.ctrlKey && !key.metaKey && !key.altKey;
    if (key.key === "Enter" && plain && !key.shiftKey) {
      key.preventDefault();
      this.#send();
    } else if (key.key === "ArrowUp" && plain && this.#isOnEdge(-1)) {
      this.#recall(key, 1);
    } else if (key.key === "ArrowDown" && plain && this.#isOnEdge(1)) {
      this.#recall(key, -1);
    } else if (key.key === "d" && key.ctrlKey && this.#writes) {
      key.preventDefault();
      this.#write(this.#field.value, true);
    } else if (key.key === "c" && key.ctrlKey && this.#isUnselected && !this.#job) {
      key.preventDefault();
      this.#set("");
    }
  }

  get #isUnselected() {
    return this.#field.selectionStart === this.#field.selectionEnd;
  }

  /** Whether the cursor is in the first line (up) or the last (down). */
  #isOnEdge(direction) {
    const { value, selectionStart, selectionEnd } = this.#field;
    if (selectionStart !== selectionEnd) return false;
    const text = direction < 0 ? value.slice(0, selectionStart) : value.slice(selectionEnd);
    return !text.includes("\n");
  }

  #recall(key, step) {
    const back = this.#back + step;
    if (back < 0 || back > this.#history.length || this.#writes) return;
    key.preventDefault();
    if (this.#back === 0) this.#draft = this.#field.value;
    this.#back = back;
    this.#set(back === 0 ? this.#draft : this.#history[this.#history.length - back]);
    this.#field.setSelectionRange(this.#field.value.length, this.#field.value.length);
  }

  #set(text) {
    this.#request = null;
    this.#field.value = text;
    this.#grow();
    keep(this.#session, text);
  }

  #grow() {
    this.#field.style.height = "auto";
    this.#field.style.height = `${Math.min(this.#field.scrollHeight, 200)}px`;
  }

  /** Shows what Enter does. */
  #describe() {
    const writes = this.#writes;
    find("prompt").classList.toggle("is-writing", writes);
    setText(find("mark"), writes ? "»" : "$");
    setText(find("run"), writes ? "Write" : "Run");
    this.#field.setAttribute("aria-label", writes ? "Input of the running job" : "Command");
    if (writes) {
      this.#field.placeholder = "Input for the running job";
      return this.#say("Ctrl-D ends the input. Input is stored in the log, so don't type secrets.");
    }
    this.#field.placeholder = this.#job ? "Running …" : "Type a command; F1 shows the keys";
    this.#say("");
  }

  #say(text, isBad = false) {
    const hint = find("hint");
    hint.hidden = text === "";
    hint.classList.toggle("bad", isBad);
    setText(hint, text);
  }
}

/** Retries for about half a minute while the server cannot be reached. */
async function insist(attempt) {
  for (let wait = 500; ; wait *= 2) {
    try {
      return await attempt();
    } catch (error) {
      if (!error.isRetryable || wait > 16_000) throw error;
      if (wait === 500) notice("No answer from the server; trying again.");
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

function read(session) {
  try {
    return sessionStorage.getItem(`rejoin-draft ${session}`) ?? "";
  } catch {
    return "";
  }
}

function keep(session, text) {
  try {
    if (text) sessionStorage.setItem(`rejoin-draft ${session}`, text);
    else sessionStorage.removeItem(`rejoin-draft ${session}`);
  } catch {
    // Without storage, a draft is lost when the page is closed.
  }
}
