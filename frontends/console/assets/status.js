// The status badge of the session: live, reconnecting, ended …

import { find, make } from "./dom.js";

/** The badge beside the session's name. */
export class StatusBadge {
  #state = { name: "connecting" };
  #isPast = false;
  #retry;
  #timer = 0;

  /** `retry` is called when the user wants to reconnect now. */
  constructor(retry) {
    this.#retry = retry;
  }

  /** Shows a state: `{name, until}`. */
  show(state) {
    this.#state = state;
    this.#draw();
  }

  /** Sets whether the page shows a past moment. */
  setPast(isPast) {
    if (isPast === this.#isPast) return;
    this.#isPast = isPast;
    this.#draw();
  }

  #draw() {
    clearTimeout(this.#timer);
    const { name, until } = this.#state;
    const isReplay = this.#isPast && (name === "live" || name === "ended");
    const shown = isReplay ? "replay" : name;
    const element = find("state");
    let text = WORDS[shown];
    if (shown === "reconnecting") {
      const left = Math.max(0, Math.ceil((until - Date.now()) / 1_000));
      text = left > 0 ? `Reconnecting in ${left} s` : "Reconnecting …";
      this.#timer = setTimeout(() => this.#draw(), 500);
    }
    if (element.dataset.shown === text) return;
    element.dataset.shown = text;
    element.className = `state is-${shown}`;
    element.replaceChildren(make("i"), make("span", { textContent: text }));
    if (shown !== "reconnecting") return;
    const now = make("button", { className: "button small", type: "button", textContent: "Now" });
    now.addEventListener("click", () => this.#retry());
    element.append(now);
  }
}

const WORDS = {
  connecting: "Connecting …",
  live: "Live",
  ended: "Ended",
  replay: "Replay",
  unknown: "Not found",
};
