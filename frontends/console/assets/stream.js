// Follows a session's events from a given sequence on, across lost connections and restarts.
//
// Invariant: each event is delivered exactly once. A reconnect asks for what comes after the last
// event received, named by its sequence and its instant: a server that was restored from a backup may
// have another event at that sequence, and refuses.

import { openStream } from "./api.js";
import { FIRST_RETRY, LONGEST_RETRY, SILENCE, SLICE } from "./limits.js";

/** Follows one session. `on` has the callbacks `event`, `state` and `problem`. */
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

  /** Starts, or continues after the last event received. */
  start() {
    if (this.#stopping) return;
    this.#stopping = new AbortController();
    this.#run(this.#stopping.signal);
  }

  /** Closes the connection. `start` continues where it stopped. */
  stop() {
    clearTimeout(this.#timer);
    this.#stopping?.abort();
    this.#stopping = null;
  }

  /** Reconnects now instead of after the wait. */
  retry() {
    this.stop();
    this.start();
  }

  async #run(signal) {
    this.#on.state({ name: "connecting" });
    try {
      const body = await openStream(this.#session, this.#after, signal);
      if (body && !(await this.#read(body, signal))) throw new Error("the connection was lost");
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

  /** Reads the stream. True once the session has ended; false if the connection ended before. */
  async #read(body, signal) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventParser();
    let slice = performance.now();
    for (;;) {
      const { done, value } = await withinSilence(reader);
      if (signal.aborted || done) return false;
      const received = parser.push(decoder.decode(value, { stream: true }));
      this.#on.state({ name: "live" });
      this.#wait = FIRST_RETRY;
      for (const { kind, text } of received) {
        if (kind === "end") return true;
        const event = JSON.parse(text);
        this.#after = `${event.sequence}-${event.at}`;
        this.#on.event(event);
        if (performance.now() - slice > SLICE) {
          await yieldToPage();
          if (signal.aborted) return false;
          slice = performance.now();
        }
      }
    }
  }
}

/** Splits the text of Server-Sent Events into events; an incomplete one waits for the next part. */
class EventParser {
  #rest = "";

  push(text) {
    const parts = (this.#rest + text).split("\n\n");
    this.#rest = parts.pop();
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

/** The next part. Rejects after `SILENCE` without data: the connection is taken for lost. */
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

/** Lets the page draw and handle input. */
function yieldToPage() {
  return new Promise((resolve) => setTimeout(resolve));
}
