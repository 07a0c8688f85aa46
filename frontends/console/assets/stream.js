// Follows a session: its events from a sequence on, through lost connections and restarts.
//
// What is never true: that an event is handed over twice or left out. Each time it comes back it
// names the last sequence that it has.

import { openStream } from "./api.js";
import { FIRST_RETRY, LONGEST_RETRY, SILENCE, SLICE } from "./limits.js";

/** A follower of one session. `on` has `event`, `state` and `problem`. */
export class Follower {
  #session;
  #after;
  #on;
  #stopping = null;
  #wait = FIRST_RETRY;
  #timer = 0;

  constructor(session, after, on) {
    this.#session = session;
    this.#after = after;
    this.#on = on;
  }

  /** Begins, or goes on where it was. */
  start() {
    if (this.#stopping) return;
    this.#stopping = new AbortController();
    this.#run(this.#stopping.signal);
  }

  /** Gives the connection back. `start` goes on where it was. */
  stop() {
    clearTimeout(this.#timer);
    this.#stopping?.abort();
    this.#stopping = null;
  }

  /** Does not wait any longer. */
  retry() {
    this.stop();
    this.start();
  }

  async #run(signal) {
    this.#on.state({ name: "connecting" });
    try {
      const body = await openStream(this.#session, this.#after, signal);
      if (body && !(await this.#read(body, signal))) throw new Error("the connection was cut");
      this.#on.state({ name: "ended" });
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500) return this.#on.problem(error);
      const until = Date.now() + this.#wait;
      this.#timer = setTimeout(() => this.retry(), this.#wait);
      this.#wait = Math.min(this.#wait * 2, LONGEST_RETRY);
      this.#on.state({ name: "reconnecting", until });
    }
  }

  /** Whether the session has ended. */
  async #read(body, signal) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const blocks = new Blocks();
    let slice = performance.now();
    for (;;) {
      const { done, value } = await withinSilence(reader);
      if (signal.aborted || done) return false;
      const told = blocks.split(decoder.decode(value, { stream: true }));
      this.#on.state({ name: "live" });
      this.#wait = FIRST_RETRY;
      for (const { kind, text } of told) {
        if (kind === "end") return true;
        const event = JSON.parse(text);
        this.#after = event.sequence;
        this.#on.event(event);
        if (performance.now() - slice > SLICE) {
          await turn();
          if (signal.aborted) return false;
          slice = performance.now();
        }
      }
    }
  }
}

/** Cuts the text of Server-Sent Events into events. */
class Blocks {
  #ahead = "";

  split(text) {
    const parts = (this.#ahead + text).split("\n\n");
    this.#ahead = parts.pop();
    return parts.map(parse).filter((event) => event.text !== "");
  }
}

function parse(block) {
  let kind = "event";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("data: ")) data.push(line.slice(6));
    else if (line.startsWith("event: ")) kind = line.slice(7);
  }
  return { kind, text: data.join("\n") };
}

/** The next part; a connection that says nothing for too long is as good as cut. */
async function withinSilence(reader) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error("the server is silent"));
      reader.cancel().catch(() => {});
    }, SILENCE);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets the page draw and answer its user. */
function turn() {
  return new Promise((resolve) => setTimeout(resolve));
}
