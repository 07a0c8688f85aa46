// A job's terminal on the server: first its screen, then what comes after it; and what is typed.
//
// Invariant: what was typed is sent in order and at most once. If a response is lost, it isn't sent
// again, because nobody knows whether it has arrived.

import { clientName, giveControlBack, resize, showJob, showScreen, takeControl, type } from "./api.js";
import { INPUT_PATIENCE, MISSED_EVENTS, SENT_INPUT, UNSEEN, WAITING_INPUT } from "./limits.js";
import { bytesOf } from "./result.js";
import { Follower } from "./stream.js";

/**
 * The terminal of one job. `on` has the callbacks `screen`, `output`, `size`, `controller`, `ended`,
 * `state` and `failed`.
 */
export class TerminalLink {
  client = clientName();
  /** The job as the server shows it; null until it has been read. */
  view = null;
  /** Who types: `{client, user}`, or null for nobody. */
  controller = null;
  size = null;
  isEnded = false;
  #session;
  #job;
  #on;
  #follower = null;
  #last = 0;
  #typed = [];
  #waiting = 0;
  #isSending = false;
  #isClosed = false;
  #unseen = 0;
  #see = () => this.#seen();

  constructor(session, job, on) {
    this.#session = session;
    this.#job = job;
    this.#on = on;
    document.addEventListener("visibilitychange", this.#see);
  }

  /** Whether this window is the one that types. */
  get isMine() {
    return this.controller?.client === this.client;
  }

  /** Reads the screen, and follows what comes after it. */
  async open() {
    this.#follower?.stop();
    try {
      const screen = await showScreen(this.#session, this.#job);
      // Read later than the screen: the events in between only lead to the same state again.
      const view = await showJob(this.#session, this.#job);
      if (this.#isClosed) return;
      this.view = view;
      this.#begin(screen);
      this.#setController(view.controller ?? null);
      if (view.state === "finished") this.#end(view);
      else if (!document.hidden) this.#follower.start();
    } catch (error) {
      this.#lost(error);
    }
  }

  /** Stops following, and lets others type. */
  close() {
    this.giveBack();
    this.#isClosed = true;
    this.#follower?.stop();
    clearTimeout(this.#unseen);
    document.removeEventListener("visibilitychange", this.#see);
  }

  /** Reconnects now. */
  retry() {
    if (this.view) this.#follower.retry();
    else this.open();
  }

  /** Sends bytes to the program. */
  type(bytes) {
    if (this.#waiting + bytes.length > WAITING_INPUT) {
      return this.#on.failed(new Error("The program doesn't read what is typed. The last part was not sent."));
    }
    this.#typed.push(bytes);
    this.#waiting += bytes.length;
    if (!this.#isSending) this.#send();
  }

  async resize(size) {
    try {
      await resize(this.#session, this.#job, this.client, size);
    } catch (error) {
      // Somebody else has taken control, or the job has ended: the events say so.
      if (error.status !== 409) this.#on.failed(error);
    }
  }

  async take() {
    try {
      await takeControl(this.#session, this.#job, this.client);
    } catch (error) {
      this.#on.failed(error);
    }
  }

  giveBack() {
    if (!this.isMine || this.isEnded || this.#isClosed) return;
    giveControlBack(this.#session, this.#job, this.client).catch(() => {});
  }

  #begin(screen) {
    this.#last = screen.after;
    this.size = { columns: screen.columns, rows: screen.rows };
    this.#on.screen(screen);
    this.#follower?.stop();
    this.#follower = new Follower(this.#session, screen.after, {
      event: (event) => this.#event(event),
      state: (state) => this.#on.state(state),
      problem: (problem) => this.#lost(problem),
    });
  }

  #event(event) {
    this.#last = event.sequence;
    if (event.type === "records-lost" || event.type === "session-closed") return this.open();
    if (event.job !== this.#job) return;
    if (event.type === "result") this.#on.output(bytesOf(event.result), event.at);
    else if (event.type === "terminal-resized") this.#resized(event);
    else if (event.type === "controller-changed") this.#setController(event.client === null ? null : event);
    else if (event.type === "job-finished") this.#end(event);
  }

  #resized({ columns, rows }) {
    this.size = { columns, rows };
    this.#on.size(this.size);
  }

  #setController(controller) {
    this.controller = controller && { client: controller.client, user: controller.user };
    this.#on.controller();
  }

  #end({ outcome, status, message }) {
    this.isEnded = true;
    this.#follower.stop();
    this.#on.ended({ outcome, status }, message);
  }

  async #send() {
    this.#isSending = true;
    while (this.#typed.length > 0 && !this.#isClosed) {
      try {
        await this.#deliver(this.#part());
      } catch (error) {
        this.#typed = [];
        this.#waiting = 0;
        if (error.status === 0) error.message = "The connection was lost. What was typed last may not have arrived.";
        this.#on.failed(error);
      }
    }
    this.#isSending = false;
  }

  /** What one request takes of what was typed. */
  #part() {
    const taken = [];
    let room = SENT_INPUT;
    while (room > 0 && this.#typed.length > 0) {
      const [first] = this.#typed;
      taken.push(first.subarray(0, room));
      if (first.length > room) this.#typed[0] = first.subarray(room);
      else this.#typed.shift();
      room -= taken[taken.length - 1].length;
    }
    this.#waiting -= SENT_INPUT - room;
    return new Blob(taken);
  }

  /** Tries again while the server says that it took nothing, because the program doesn't read. */
  async #deliver(part) {
    const begun = performance.now();
    for (;;) {
      try {
        return await type(this.#session, this.#job, this.client, part);
      } catch (error) {
        if (error.status !== 429 || performance.now() - begun > INPUT_PATIENCE) throw error;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  }

  #lost(error) {
    if (this.#isClosed) return;
    // A server that was restored from a backup has another screen.
    if (error.code === "cursor_unknown") return this.open();
    if (error.status !== 0 && !error.isRetryable) return this.#on.failed(error);
    this.#on.state({ name: "reconnecting", until: Date.now() + 2_000 });
    setTimeout(() => !this.#isClosed && this.open(), 2_000);
  }

  /** Browsers have six connections for all pages of a server, so a hidden page closes its own. */
  #seen() {
    clearTimeout(this.#unseen);
    if (!this.view || this.isEnded) return;
    if (document.hidden) this.#unseen = setTimeout(() => this.#follower.stop(), UNSEEN);
    else this.#resume();
  }

  /** Goes on after the last event, or with the screen if a lot has happened. */
  async #resume() {
    try {
      const screen = await showScreen(this.#session, this.#job);
      if (this.#isClosed || document.hidden) return;
      if (screen.after - this.#last > MISSED_EVENTS) await this.open();
      else this.#follower.start();
    } catch (error) {
      this.#lost(error);
    }
  }
}
