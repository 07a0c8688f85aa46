// The output on the page: a window of rows on a transcript, however long that is.
//
// What is never true: that there are more elements than rows which can be seen, and some; or that
// what a reader looks at moves because something is added above or below it.

import { find, setText } from "./dom.js";
import { badgeElement, renderRow } from "./render.js";
import { badge } from "./format.js";

/** Rows that are drawn above and below what can be seen. */
const MARGIN = 8;

/** The screen. `on.follows` is told whether it shows the end. */
export class Screen {
  folded = new Set();
  #transcript = null;
  #now;
  #on;
  #frame = find("screen");
  #sheet = this.#frame.querySelector(".sheet");
  #rows = this.#frame.querySelector(".rows");
  #drawn = [];
  #from = 0;
  #starts = [];
  #cell = { width: 8, height: 20 };
  #columns = 80;
  #follows = true;
  /** Where the frame stood when it was last looked at. */
  #top = 0;
  /** Where the end was when it was last gone to; null while it is not followed. */
  #end = null;
  /** What is at the top while the end is not followed: a place of a block, and its last row. */
  #anchor = null;
  #waits = false;
  /** The job whose statement is shown above its output. */
  #pinned = null;

  constructor(now, on) {
    this.#now = now;
    this.#on = on;
    this.#frame.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#frame.addEventListener("wheel", (it) => it.deltaY < 0 && this.#leaveEnd(), { passive: true });
    this.#frame.addEventListener("keydown", (it) => UP.includes(it.key) && this.#leaveEnd());
    let touched = 0;
    this.#frame.addEventListener("touchstart", (it) => (touched = it.touches[0].clientY), { passive: true });
    this.#frame.addEventListener(
      "touchmove",
      (it) => it.touches[0].clientY > touched + 4 && this.#leaveEnd(),
      { passive: true },
    );
    this.#frame.addEventListener("click", (it) => this.#clicked(it));
    this.#frame.addEventListener("copy", (it) => copyRows(it));
    find("pinned").addEventListener("click", () => this.#pinned && this.jumpTo(this.#pinned));
    new ResizeObserver(() => this.#resized()).observe(this.#frame);
    document.fonts?.ready.then(() => this.#resized());
  }

  get follows() {
    return this.#follows;
  }

  /** Shows another session, from its end on. */
  open(transcript) {
    this.folded.clear();
    this.#transcript = transcript;
    this.toEnd();
  }

  /** Shows another transcript of the same session, where a reader is in the last one. */
  show(transcript) {
    this.#transcript = transcript;
    this.changed();
  }

  /** Hides the output of all jobs, or shows it again where all of it is hidden. */
  foldAll() {
    const names = (this.#transcript?.blocks ?? []).filter((it) => it.isJob).map((it) => it.name);
    const areFolded = names.every((name) => this.folded.has(name));
    this.folded = new Set(areFolded ? [] : names);
    this.changed();
  }

  /** Draws again before the next frame: something has changed. */
  changed() {
    if (this.#waits) return;
    this.#waits = true;
    requestAnimationFrame(() => {
      this.#waits = false;
      this.#draw();
    });
  }

  /** Goes to the end, and stays there. */
  toEnd() {
    this.#follows = true;
    this.#anchor = this.#end = null;
    this.#on.follows(true);
    this.changed();
  }

  /** Goes to where a block begins. */
  jumpTo(block) {
    this.#follows = false;
    this.#anchor = { name: block.name, place: { kind: "statement", number: 0 }, row: null };
    this.#on.follows(false);
    this.changed();
    this.#frame.focus({ preventScroll: true });
  }

  /** Hides a job's output, or shows it again. */
  fold(block) {
    if (!this.folded.delete(block.name)) this.folded.add(block.name);
    this.changed();
  }

  #draw() {
    if (!this.#transcript || this.#frame.clientHeight === 0) return;
    const { height } = this.#cell;
    const { blocks } = this.#transcript;
    const total = this.#measure(blocks);
    this.#sheet.style.height = `${total * height}px`;
    this.#keepPlace(total);
    this.#top = this.#frame.scrollTop;
    const top = Math.floor(this.#top / height);
    const seen = Math.ceil(this.#frame.clientHeight / height);
    const from = Math.max(0, Math.min(top, total - seen) - MARGIN);
    const to = Math.min(total, top + seen + MARGIN);
    this.#rotate(from, to - from);
    this.#rows.style.transform = `translateY(${from * height}px)`;
    const view = { columns: this.#columns, folded: this.folded, now: this.#now() };
    let place = this.#blockAt(from);
    for (const [at, element] of this.#drawn.entries()) {
      const row = from + at;
      while (place + 1 < blocks.length && this.#starts[place + 1] <= row) place += 1;
      element.block = blocks[place];
      renderRow(element, blocks[place], blocks[place].row(row - this.#starts[place]), view);
    }
    this.#pin(blocks, top, view);
  }

  #measure(blocks) {
    let total = 0;
    this.#starts.length = 0;
    for (const block of blocks) {
      this.#starts.push(total);
      total += block.measure(this.#columns, this.folded.has(block.name));
    }
    return total;
  }

  #keepPlace(total) {
    const { height } = this.#cell;
    if (this.#follows) {
      const end = Math.max(0, total * height - this.#frame.clientHeight);
      if (end !== this.#end) this.#frame.scrollTop = end;
      this.#end = end;
      return;
    }
    this.#end = null;
    if (!this.#anchor) return;
    const { name, place, row } = this.#anchor;
    const at = this.#transcript.blocks.findIndex((block) => block.name === name);
    if (at < 0) return;
    this.#anchor.row = this.#starts[at] + this.#transcript.blocks[at].rowOf(place);
    // By how much it moved, and not to where it is: the reader may be scrolling right now.
    if (row === null) this.#frame.scrollTop = this.#anchor.row * height;
    else if (row !== this.#anchor.row) this.#frame.scrollTop += (this.#anchor.row - row) * height;
  }

  /** As many elements as rows, in their order; those that are still seen stay what they are. */
  #rotate(from, count) {
    while (this.#drawn.length > count) this.#drawn.pop().remove();
    while (this.#drawn.length < count) {
      const element = document.createElement("div");
      this.#rows.append(element);
      this.#drawn.push(element);
    }
    const step = from - this.#from;
    this.#from = from;
    if (Math.abs(step) >= count) return;
    for (let at = 0; at < step; at += 1) {
      const element = this.#drawn.shift();
      this.#rows.append(element);
      this.#drawn.push(element);
    }
    for (let at = 0; at > step; at -= 1) {
      const element = this.#drawn.pop();
      this.#rows.prepend(element);
      this.#drawn.unshift(element);
    }
  }

  /** The statement whose output is at the top stays in sight. */
  #pin(blocks, top, view) {
    // What is covered is the first row: what counts is the one below.
    const at = this.#blockAt(top + 1);
    const block = blocks[at];
    const isInside = block?.isJob && top + 1 > this.#starts[at];
    const element = find("pinned");
    element.hidden = !isInside || this.#frame.scrollTop < this.#cell.height;
    this.#pinned = element.hidden ? null : block;
    if (!this.#pinned) return;
    const beside = badge(block, view.now);
    const told = `${block.name} ${beside}`;
    if (element.dataset.shown === told) return;
    element.dataset.shown = told;
    const text = document.createElement("span");
    text.className = "text";
    setText(text, block.lines[0].text);
    const mark = document.createElement("span");
    mark.className = "mark";
    setText(mark, "$");
    element.replaceChildren(mark, text, badgeElement(block, beside));
  }

  #blockAt(row) {
    let low = 0;
    let high = this.#starts.length;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle] <= row) low = middle;
      else high = middle;
    }
    return low;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#frame;
    const left = scrollHeight - clientHeight - scrollTop;
    const isUp = scrollTop < this.#top;
    // Only a reader goes up: what grows or shrinks around the rows is no reason to stay behind.
    const follows = isUp ? left < 1 : this.#follows || left < this.#cell.height * 1.5;
    this.#top = scrollTop;
    if (follows !== this.#follows) {
      this.#follows = follows;
      this.#end = null;
      this.#on.follows(follows);
    }
    this.#noteAnchor();
    this.changed();
  }

  #leaveEnd() {
    if (!this.#follows || this.#frame.scrollTop === 0) return;
    this.#follows = false;
    this.#on.follows(false);
    this.#noteAnchor();
  }

  #noteAnchor() {
    const { blocks } = this.#transcript ?? { blocks: [] };
    if (this.#follows || blocks.length === 0 || this.#starts.length === 0) {
      this.#anchor = null;
      return;
    }
    const { height } = this.#cell;
    const row = Math.floor(this.#frame.scrollTop / height);
    const at = Math.min(this.#blockAt(row), blocks.length - 1);
    const place = blocks[at].placeOf(row - this.#starts[at]);
    this.#anchor = { name: blocks[at].name, place, row };
  }

  #resized() {
    const probe = document.createElement("div");
    probe.className = "row output probe";
    probe.textContent = "0".repeat(100);
    this.#rows.append(probe);
    const { width, height } = probe.getBoundingClientRect();
    probe.remove();
    if (height === 0) return;
    this.#cell = { width: width / 100, height };
    const room = this.#rows.clientWidth - ROW_PADDING;
    this.#columns = Math.max(20, Math.floor(room / this.#cell.width));
    this.changed();
  }

  #clicked(click) {
    const element = click.target.closest(".row.statement");
    if (!element || getSelection().toString() !== "") return;
    this.fold(element.block);
  }
}

/** Copies rows as the lines that they are parts of. */
function copyRows(copying) {
  const selection = getSelection();
  if (selection.rangeCount === 0 || selection.isCollapsed) return;
  const rows = [...selection.getRangeAt(0).cloneContents().querySelectorAll(".row")];
  if (rows.length === 0) return;
  let text = "";
  for (const [at, row] of rows.entries()) {
    for (const beside of row.querySelectorAll(".badge, .mark")) beside.remove();
    if (at > 0 && row.dataset.goesOn !== "true") text += "\n";
    text += row.textContent;
  }
  copying.clipboardData.setData("text/plain", text);
  copying.preventDefault();
}

/** Keys that scroll up. */
const UP = ["ArrowUp", "PageUp", "Home"];

/** What a row's padding takes on both sides; as in screen.css. */
const ROW_PADDING = 40;
