// The jobs panel: the session's jobs, newest first, each with its outcome and duration.

import { find, make, setText } from "./dom.js";
import { badgeElement } from "./render.js";
import { badge, counted } from "./format.js";

/** The panel. `on.jump` is called with the job to show. */
export class Jobs {
  #list = find("jobs-list");
  #elements = new Map();
  #now;
  #on;

  constructor(now, on) {
    this.#now = now;
    this.#on = on;
  }

  /** Shows a transcript's jobs. */
  show(transcript) {
    const jobs = transcript.blocks.filter((block) => block.isJob).reverse();
    const kept = new Set();
    let before = null;
    for (const job of jobs) {
      const element = this.#element(job);
      kept.add(job.job);
      const place = before ? before.nextElementSibling : this.#list.firstElementChild;
      if (place !== element) this.#list.insertBefore(element, place);
      before = element;
    }
    for (const [number, element] of this.#elements) {
      if (kept.has(number)) continue;
      element.remove();
      this.#elements.delete(number);
    }
    setText(find("jobs-count"), jobs.length > 0 ? counted(jobs.length, "job") : "");
  }

  #element(job) {
    let element = this.#elements.get(job.job);
    if (!element) {
      const text = make("span", { className: "text", textContent: job.title.split("\n")[0] });
      const button = make("button", { type: "button", title: job.title.slice(0, 500) }, text);
      element = make("li", {}, button);
      button.addEventListener("click", () => this.#on.jump(element.job));
      this.#elements.set(job.job, element);
    }
    element.job = job;
    const beside = badge(job, this.#now());
    const shown = `${job.revision} ${beside}`;
    if (element.dataset.shown === shown) return element;
    element.dataset.shown = shown;
    element.firstElementChild.children[1]?.remove();
    const shownBadge = badgeElement(job, beside);
    if (job.by) shownBadge.prepend(make("span", { className: "by" }, `${job.by} `));
    element.firstElementChild.append(shownBadge);
    return element;
  }
}
