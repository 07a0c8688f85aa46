// The jobs of the session beside its output: newest first, each with how it ended and how long it
// took.

import { find, make, setText } from "./dom.js";
import { badgeElement } from "./render.js";
import { badge, counted } from "./format.js";

/** The panel. `on.jump` is told which job is wanted. */
export class Jobs {
  #list = find("jobs-list");
  #elements = new Map();
  #now;
  #on;

  constructor(now, on) {
    this.#now = now;
    this.#on = on;
  }

  /** Shows the jobs of a transcript. */
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
      const text = make("span", { className: "text", textContent: job.statement.split("\n")[0] });
      const button = make("button", { type: "button", title: job.statement.slice(0, 500) }, text);
      element = make("li", {}, button);
      button.addEventListener("click", () => this.#on.jump(element.job));
      this.#elements.set(job.job, element);
    }
    element.job = job;
    const beside = badge(job, this.#now());
    const told = `${job.revision} ${beside}`;
    if (element.dataset.shown === told) return element;
    element.dataset.shown = told;
    element.firstElementChild.children[1]?.remove();
    element.firstElementChild.append(badgeElement(job, beside));
    return element;
  }
}
