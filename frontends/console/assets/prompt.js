// The command line: commands with history, each of which gets a terminal; and input for a running job
// that has none.
//
// Invariant: a command never runs twice because a response was lost. Each has a unique request name
// under which it is sent again.

import { clientName, interrupt, requestName, submit, write } from "./api.js";
import { find, setText } from "./dom.js";
import { REMEMBERED_STATEMENTS } from "./limits.js";
import { failed, notice } from "./notices.js";

/**
 * The prompt of the open session. `on.sent` is called when a command was accepted; `on.size` says which
 * size the terminal of one is to have.
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
  /** The name of the request being sent, or whose response was lost. */
  #request = null;
  #field = find("statement");

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
  }

  /** Switches to another session, with its own draft and history. */
  open(session) {
    this.#session = session;
    this.#history = [];
    this.#back = 0;
    this.#job = this.#shown = null;
    this.#set(read(session));
    this.#describe();
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
    const shown = `${job?.job} ${job?.takesInput}`;
    this.#job = job;
    if (shown === this.#shown) return;
    this.#shown = shown;
    find("interrupt").hidden = job === null;
    this.#describe();
  }

  /** Whether the next key would go into an empty command line. */
  get isIdle() {
    return document.activeElement === this.#field && this.#field.value === "";
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

  async #send() {
    if (this.#isSending) return;
    if (this.#writes) return this.#write(`${this.#field.value}\n`, false);
    const statement = this.#field.value;
    if (statement.trim() === "") return;
    const background = find("background").checked;
    if (this.#job && !background) return this.#refuse();
    const options = { background, terminal: this.#on.size(), client: clientName() };
    const session = this.#session;
    this.#isSending = true;
    find("run").disabled = true;
    try {
      await insist(() => submit(session, statement, (this.#request ??= requestName()), options));
      if (session !== this.#session) return;
      this.#request = null;
      this.remember([statement]);
      this.#back = 0;
      this.#set("");
      find("background").checked = false;
      this.#on.sent();
    } catch (error) {
      if (error.status > 0) this.#request = null;
      this.#tell(error.message, true);
    } finally {
      this.#isSending = false;
      find("run").disabled = false;
      if (!find("hint").classList.contains("bad")) this.#describe();
    }
  }

  async #write(text, end) {
    const { job } = this.#job;
    this.#isSending = true;
    try {
      await write(this.#session, job, text, end);
      this.#set("");
    } catch (error) {
      failed(error);
    } finally {
      this.#isSending = false;
    }
  }

  #refuse() {
    const text = "Another job is running in the foreground. Interrupt it with Ctrl-C, or tick Background.";
    this.#tell(text, true);
  }

  #edited() {
    this.#request = null;
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
      return this.#tell("Ctrl-D ends the input. Input is stored in the log, so don't type secrets.");
    }
    this.#field.placeholder = this.#job ? "Running …" : "Type a command";
    this.#tell("");
  }

  #tell(text, isBad = false) {
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
