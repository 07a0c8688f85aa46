// The terminal of the running job, below the rows of the session: a frame of terminal.html.
//
// There is one frame, for one job after the other. Only that page may use xterm.js with its styles; this
// one keeps the strict policy.

import { find } from "./dom.js";
import { sharedBy } from "./route.js";

/** The frame. `on.changed` is called when its height has changed, `on.left` when it leaves with the focus. */
export class InlineTerminal {
  /** The job that is shown, or null. */
  job = null;
  /** The size that a terminal in the frame has; null until it is known. */
  size = null;
  #on;
  #room = find("inline");
  #frame = null;
  #isReady = false;
  #wantsFocus = false;
  #above = 0;

  constructor(on) {
    this.#on = on;
    window.addEventListener("message", (message) => this.#hear(message));
    // If the focus has gone somewhere else meanwhile, or something is typed where it is, it stays there.
    const stay = ({ target }) => target !== this.#frame && (this.#wantsFocus = false);
    document.addEventListener("focusin", stay);
    document.addEventListener("input", stay);
    new ResizeObserver(() => this.#tellRoom()).observe(find("session").querySelector(".stage"));
  }

  /** Loads the frame before it is needed, so that it is shown without a delay. */
  preload() {
    if (!this.#frame) this.#load("#frame", true);
  }

  /** Shows a job's terminal, or none. `above` is the number of rows that stay visible above it. */
  show(session, job, above = 0) {
    if (job === this.job) return;
    this.#above = above;
    const hadFocus = this.#frame !== null && document.activeElement === this.#frame;
    if (this.job) this.job.isInFrame = false;
    this.job = job;
    this.#wantsFocus = false;
    this.#room.hidden = job === null;
    this.#room.parentElement.classList.toggle("has-terminal", job !== null);
    if (job) {
      job.isInFrame = true;
      this.#room.style.height = "0";
    }
    this.#load(job ? `#${new URLSearchParams({ session, job: job.job })}&frame` : "#frame");
    if (hadFocus && !job) this.#on.left();
  }

  /** Lets keys go to the terminal. */
  focus() {
    this.#wantsFocus = true;
    if (!this.#isReady) return;
    this.#frame.focus({ preventScroll: true });
    this.#post({ rejoin: "focus" });
  }

  #load(place, isWanted = place !== "#frame") {
    const hash = sharedBy ? `${place}&link=${encodeURIComponent(sharedBy)}` : place;
    if (this.#frame) {
      if (this.#isReady) this.#frame.contentWindow.location.replace(PAGE + hash);
      else this.#frame.src = PAGE + hash;
      return this.#tellRoom();
    }
    if (!isWanted) return;
    this.#frame = document.createElement("iframe");
    this.#frame.title = "Terminal";
    this.#frame.src = PAGE + hash;
    this.#frame.allow = "clipboard-read; clipboard-write";
    this.#room.append(this.#frame);
  }

  #hear({ source, origin, data }) {
    if (!this.#frame || source !== this.#frame.contentWindow || origin !== location.origin) return;
    if (data.rejoin === "ready") {
      this.#isReady = true;
      this.#tellRoom();
      if (this.#wantsFocus) this.focus();
    }
    if (data.rejoin !== "height" || !this.job || data.job !== this.job.job) return;
    this.size = data.size ?? this.size;
    const height = `${data.height}px`;
    if (this.#room.style.height === height) return;
    this.#room.style.height = height;
    this.#on.changed();
  }

  /** The frame may fill the stage except for the rows above it. */
  #tellRoom() {
    const stage = this.#room.parentElement.parentElement;
    this.#post({ rejoin: "room", height: stage.clientHeight - this.#above * ROW_HEIGHT });
  }

  #post(message) {
    if (this.#isReady) this.#frame.contentWindow.postMessage(message, location.origin);
  }
}

const PAGE = new URL("terminal.html", import.meta.url).href;

/** Pixels of a row; keep equal to theme.css. */
const ROW_HEIGHT = 20;
