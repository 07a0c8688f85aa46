// Notifies that a long command has ended while the page is not in sight: in the page's title, and by a
// notification of the browser where somebody has asked for those.

import { find } from "./dom.js";
import { badge, jobStatus } from "./format.js";
import { LONG_JOB } from "./limits.js";
import { notice } from "./notices.js";

/** The title and the notifications. `on.open` is called when a notification is clicked. */
export class Notifier {
  #on;
  #title = "Rejoin";
  /** What the title says of commands that have ended unseen: `[how many, the last of them]`. */
  #unseen = [0, ""];

  constructor(on) {
    this.#on = on;
    document.addEventListener("visibilitychange", () => this.#seen());
    this.#drawChoice();
  }

  /** Sets the title that the page has while nothing has ended unseen. */
  setTitle(title) {
    this.#title = title;
    this.#drawTitle();
  }

  /** A command has ended: notifies if it was long and nobody looks. */
  ended(job, session) {
    const took = job.finished - (job.started ?? job.at);
    if (!document.hidden || took < LONG_JOB) return;
    const command = job.lines[0].text;
    const how = badge(job, job.finished);
    const mark = MARKS[jobStatus(job)] ?? "!";
    this.#unseen = [this.#unseen[0] + 1, `${mark} ${command}`];
    this.#drawTitle();
    if (!isOn()) return;
    try {
      const icon = new URL("icon.svg", import.meta.url).href;
      const notification = new Notification(`${mark} ${command}`, { body: how, tag: `${session} ${job.job}`, icon });
      notification.addEventListener("click", () => {
        window.focus();
        notification.close();
        this.#on.open(session);
      });
    } catch {
      // Some browsers of phones take notifications from service workers only. The title says it.
    }
  }

  /** Turns notifications on or off. Only a click may lead here: then browsers ask for permission. */
  async turn() {
    if (isOn()) keep(false);
    else if (!("Notification" in window)) return notice("This browser has no notifications. The title of the page says it.");
    else if ((await Notification.requestPermission()) === "granted") {
      keep(true);
      notice("You are notified when a command that took longer than a minute ends while you look elsewhere.");
    } else {
      notice("The browser does not allow notifications here: allow them in its settings. They need https, or localhost.");
    }
    this.#drawChoice();
  }

  #seen() {
    if (document.hidden) return;
    this.#unseen = [0, ""];
    this.#drawTitle();
  }

  #drawTitle() {
    const [count, last] = this.#unseen;
    document.title = count > 0 ? `(${count}) ${last} · Rejoin` : this.#title;
  }

  #drawChoice() {
    find("notify").setAttribute("aria-checked", String(isOn()));
  }
}

const MARKS = { completed: "✓", failed: "✗" };

/** Whether somebody has asked for notifications and the browser allows them. */
function isOn() {
  try {
    return localStorage.getItem("rejoin-notify") === "yes" && Notification.permission === "granted";
  } catch {
    return false;
  }
}

function keep(isOn) {
  try {
    if (isOn) localStorage.setItem("rejoin-notify", "yes");
    else localStorage.removeItem("rejoin-notify");
  } catch {
    // Without storage, there are none.
  }
}
