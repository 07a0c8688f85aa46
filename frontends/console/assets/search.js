// Searches all of the open session's output, on the server: a bar with the number of lines found, and
// the way to the next and to the one before.

import { searchOutput } from "./api.js";
import { find, setText } from "./dom.js";
import { FOUND_AT_ONCE, MOST_FOUND, SEARCH_PAUSE } from "./limits.js";

/** The bar. `on.show` is called with the line to show, `on.hide` when the bar is closed. */
export class Search {
  /** The session that is searched. */
  #session = null;
  #found = [];
  #at = -1;
  /** Where the server goes on; null when it has searched all. */
  #next = null;
  #asked = 0;
  #problem = "";
  #pause = 0;
  #on;
  #bar = find("search");
  #text = find("search-text");

  constructor(on) {
    this.#on = on;
    this.#text.addEventListener("input", () => this.#wait());
    find("search-regex").addEventListener("change", () => this.#begin());
    find("search-case").addEventListener("change", () => this.#begin());
    find("search-next").addEventListener("click", () => this.step(1));
    find("search-previous").addEventListener("click", () => this.step(-1));
    find("search-close").addEventListener("click", () => this.hide());
    this.#bar.addEventListener("keydown", (key) => this.#key(key));
  }

  get isShown() {
    return !this.#bar.hidden;
  }

  /** The line that is shown, or null. */
  get current() {
    return this.isShown ? (this.#found[this.#at] ?? null) : null;
  }

  /** What is searched for, as a regular expression to mark it with; null if there is none. */
  get pattern() {
    const text = this.#text.value;
    if (!this.isShown || text === "" || this.#problem !== "") return null;
    const source = find("search-regex").checked ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    try {
      return new RegExp(source, find("search-case").checked ? "gu" : "giu");
    } catch {
      // The server's expressions are not quite the browser's.
      return null;
    }
  }

  /** Shows the bar, for a session. */
  show(session) {
    const isOther = session !== this.#session;
    this.#session = session;
    this.#bar.hidden = false;
    this.#text.focus();
    this.#text.select();
    if (isOther) this.#begin();
    else this.#on.show(this.current);
  }

  /** Hides the bar. */
  hide() {
    if (this.#bar.hidden) return;
    this.#stop();
    this.#bar.hidden = true;
    this.#on.hide();
  }

  /** Another session was opened, or none. */
  leave(session) {
    if (session === this.#session) return;
    this.hide();
    this.#session = null;
  }

  /** Goes to the next line that was found, or to the one before, around the ends. */
  step(by) {
    const count = this.#found.length;
    if (count === 0) return;
    this.#at = (this.#at + by + count) % count;
    this.#draw();
    this.#on.show(this.current);
  }

  #key(key) {
    if (key.key === "Escape") this.hide();
    else if (key.key === "Enter" && key.target === this.#text) this.step(key.shiftKey ? -1 : 1);
    else return;
    key.preventDefault();
    key.stopPropagation();
  }

  #wait() {
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#begin(), SEARCH_PAUSE);
  }

  #stop() {
    this.#asked += 1;
    clearTimeout(this.#pause);
  }

  /** Searches from the beginning. */
  async #begin() {
    this.#stop();
    this.#found = [];
    this.#at = -1;
    this.#problem = "";
    this.#next = this.#text.value === "" ? null : "0";
    this.#draw();
    const { asked, session } = { asked: this.#asked, session: this.#session };
    const options = {
      regex: find("search-regex").checked,
      ignoreCase: !find("search-case").checked,
      limit: FOUND_AT_ONCE,
    };
    while (this.#next !== null && this.#found.length < MOST_FOUND) {
      try {
        const part = await searchOutput(session, this.#text.value, { ...options, after: this.#next });
        if (asked !== this.#asked) return;
        const isFirst = this.#found.length === 0;
        this.#found.push(...part.matches);
        this.#next = part.more ? part.after : null;
        // The last line is the one that people look for most often, but what comes first is known first.
        if (isFirst && this.#found.length > 0) this.step(1);
      } catch (error) {
        if (asked !== this.#asked) return;
        this.#next = null;
        this.#problem = error.message;
      }
      this.#draw();
    }
    this.#on.show(this.current);
  }

  #draw() {
    const count = this.#found.length;
    const isMore = this.#next !== null;
    const total = `${count.toLocaleString("en")}${isMore ? "+" : ""}`;
    let text = "";
    if (this.#problem !== "") text = this.#problem;
    else if (count > 0) text = `${(this.#at + 1).toLocaleString("en")} of ${total}`;
    else if (isMore) text = "Searching …";
    else if (this.#text.value !== "") text = "Not found";
    setText(find("search-count"), text);
    this.#bar.classList.toggle("is-wrong", this.#problem !== "" || text === "Not found");
    for (const name of ["search-next", "search-previous"]) find(name).disabled = count === 0;
  }
}

/** Marks what is searched for in the rows of the page. The browser draws it; the page does not change. */
export function mark(rows, pattern) {
  if (!window.CSS?.highlights) return;
  const ranges = [];
  for (const row of pattern ? rows : []) {
    const texts = [];
    const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
    let whole = "";
    while (walker.nextNode()) {
      texts.push([whole.length, walker.currentNode]);
      whole += walker.currentNode.data;
    }
    for (const { index, 0: match } of whole.matchAll(pattern)) {
      if (match === "") continue;
      const range = new Range();
      const place = (offset, isEnd) => {
        const [start, text] = texts.findLast(([start]) => (isEnd ? start < offset : start <= offset));
        return [text, offset - start];
      };
      range.setStart(...place(index, false));
      range.setEnd(...place(index + match.length, true));
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
