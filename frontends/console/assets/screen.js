// Shows a transcript as rows in a virtual list: only visible rows have elements.
//
// Invariant: what the viewer is looking at doesn't move when rows are added above or below it.

import { find, setText } from "./dom.js";
import { badgeElement, renderRow } from "./render.js";
import { badge } from "./format.js";
import { LONGEST_LINE } from "./limits.js";
import { mark } from "./search.js";

/** Rows rendered beyond the visible ones, above and below. */
const MARGIN = 8;

/** The output view. `on.follows` is called with whether it stays at the end. */
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
  #isEndSeen = true;
  /** The last scroll position. */
  #top = 0;
  /** The scroll position of the end when last scrolled there; null while not following. */
  #end = null;
  /** The first visible row while not following: a place in a block, and the row it had last. */
  #anchor = null;
  #isScheduled = false;
  /** The job whose command is pinned above its output. */
  #pinned = null;
  /** Whether it leaves the room below its rows to a terminal. */
  #isCompact = false;
  #wraps = true;
  /** The characters of the longest line that was drawn, if lines are not wrapped. */
  #widest = 0;
  /** What is searched for, and the line that was found. */
  #pattern = null;
  #foundLine = null;

  constructor(now, on) {
    this.#now = now;
    this.#on = on;
    this.#frame.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#frame.addEventListener("wheel", (event) => event.deltaY < 0 && this.#leaveEnd(), { passive: true });
    this.#frame.addEventListener("keydown", (event) => UP.includes(event.key) && this.#leaveEnd());
    let touched = 0;
    this.#frame.addEventListener("touchstart", (event) => (touched = event.touches[0].clientY), { passive: true });
    this.#frame.addEventListener(
      "touchmove",
      (event) => event.touches[0].clientY > touched + 4 && this.#leaveEnd(),
      { passive: true },
    );
    this.#frame.addEventListener("click", (event) => this.#clicked(event));
    this.#frame.addEventListener("copy", (event) => copyRows(event));
    find("pinned").addEventListener("click", () => this.#pinned && this.jumpTo(this.#pinned));
    new ResizeObserver(() => this.#resized()).observe(this.#frame);
    document.fonts?.ready.then(() => this.#resized());
  }

  /** The size of a terminal that fills a height in pixels, below the row of its command. */
  terminalSize(height) {
    const { width, height: row } = this.#cell;
    const columns = Math.floor((this.#frame.clientWidth - ROW_PADDING) / width);
    return { columns: Math.max(20, columns), rows: Math.max(5, Math.floor(height / row) - 4) };
  }

  /** Takes only the height that the rows need, or all there is. */
  setCompact(isCompact) {
    if (isCompact === this.#isCompact) return;
    this.#isCompact = isCompact;
    const { style } = this.#frame.parentElement;
    if (!isCompact) style.height = style.minHeight = "";
    this.changed();
  }

  get follows() {
    return this.#follows;
  }

  /** Whether the last line is in sight. */
  get isEndSeen() {
    return this.#isEndSeen;
  }

  /** Shows another session, at its end. */
  open(transcript) {
    this.folded.clear();
    this.#transcript = transcript;
    this.toEnd();
  }

  /** Shows another transcript of the same session, at the same position. */
  show(transcript) {
    this.#transcript = transcript;
    this.changed();
  }

  /** Folds all jobs, or unfolds them if all are folded. */
  foldAll() {
    const names = (this.#transcript?.blocks ?? []).filter((block) => block.isJob).map((block) => block.name);
    const areFolded = names.every((name) => this.folded.has(name));
    this.folded = new Set(areFolded ? [] : names);
    this.changed();
  }

  /** Schedules a redraw in the next animation frame. */
  changed() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => {
      this.#isScheduled = false;
      this.#draw();
    });
  }

  /** Scrolls to the end and follows it. */
  toEnd() {
    this.#follows = true;
    this.#anchor = this.#end = null;
    this.#on.follows(true);
    this.changed();
  }

  /** Scrolls to the first row of a block. */
  jumpTo(block) {
    this.#follows = false;
    this.#anchor = { name: block.name, place: { kind: "statement", number: 0 }, row: null };
    this.#on.follows(false);
    this.changed();
    this.#frame.focus({ preventScroll: true });
  }

  /** Scrolls to a line of a job's output. */
  jumpToLine(block, index) {
    this.#follows = false;
    this.folded.delete(block.name);
    const place = { kind: "output", line: block.terminal.dropped + index, part: 0 };
    this.#anchor = { name: block.name, place, row: null, isInside: true };
    this.#on.follows(false);
    this.changed();
  }

  /** Whether long lines go on in the next row. Otherwise the view can be scrolled sideways. */
  setWrap(wraps) {
    this.#wraps = wraps;
    this.#frame.classList.toggle("is-wide", !wraps);
    this.#sheet.style.minWidth = "";
    this.#widest = 0;
    this.#resized();
  }

  /** Marks what is searched for, and one line: `pattern` is a regular expression or null. */
  setFound(pattern, line) {
    this.#pattern = pattern;
    this.#foundLine = line;
    this.changed();
  }

  /** The line in which the selection begins: `{sequence, row}`, or null. */
  selectedLine() {
    const selection = getSelection();
    if (selection.rangeCount === 0 || selection.isCollapsed) return null;
    const from = selection.getRangeAt(0).startContainer;
    const row = (from.nodeType === Node.ELEMENT_NODE ? from : from.parentElement)?.closest(".row.output");
    const line = row?.shown?.line;
    return line?.sequence > 0 ? { sequence: line.sequence, row: line.row } : null;
  }

  /** Folds or unfolds a job's output. */
  fold(block) {
    if (!this.folded.delete(block.name)) this.folded.add(block.name);
    this.changed();
  }

  #draw() {
    if (!this.#transcript || (this.#frame.clientHeight === 0 && !this.#isCompact)) return;
    const { height } = this.#cell;
    const { blocks } = this.#transcript;
    const total = this.#measure(blocks);
    this.#sheet.style.height = `${total * height}px`;
    if (this.#isCompact) {
      const { style } = this.#frame.parentElement;
      style.height = `${total * height}px`;
      style.minHeight = `${Math.min(total, COMPACT_ROWS) * height}px`;
    }
    this.#keepPlace(total);
    this.#top = this.#frame.scrollTop;
    const below = total * height - this.#top - this.#frame.clientHeight;
    if (below < height * 1.5 !== this.#isEndSeen) {
      this.#isEndSeen = !this.#isEndSeen;
      this.#on.follows(this.#follows);
    }
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
    for (const element of this.#drawn) {
      element.classList.toggle("is-found", this.#foundLine !== null && element.shown?.line === this.#foundLine);
      if (!this.#wraps) this.#widest = Math.max(this.#widest, element.shown?.line.text.length ?? 0);
    }
    if (!this.#wraps) this.#sheet.style.minWidth = `${this.#widest * this.#cell.width + ROW_PADDING}px`;
    mark(this.#drawn.filter((element) => element.classList.contains("output")), this.#pattern);
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
    // Scroll by the difference, not to a position: the viewer may be scrolling right now.
    if (row === null) {
      const above = this.#anchor.isInside ? Math.floor(this.#frame.clientHeight / 3) : 0;
      this.#frame.scrollTop = this.#anchor.row * height - above;
    } else if (row !== this.#anchor.row) this.#frame.scrollTop += (this.#anchor.row - row) * height;
  }

  /** Makes one element a row, in order, and reuses the elements of rows that stay visible. */
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

  /** Keeps the command in view whose output is at the top. */
  #pin(blocks, top, view) {
    // The pinned command covers the first row, so the second row decides.
    const at = this.#blockAt(top + 1);
    const block = blocks[at];
    const isInside = block?.isJob && top + 1 > this.#starts[at];
    const element = find("pinned");
    element.hidden = !isInside || this.#frame.scrollTop < this.#cell.height;
    this.#pinned = element.hidden ? null : block;
    if (!this.#pinned) return;
    const beside = badge(block, view.now);
    const shown = `${block.name} ${beside}`;
    if (element.dataset.shown === shown) return;
    element.dataset.shown = shown;
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
    // Of where it was before: it is about to be scrolled somewhere else.
    if (this.#anchor?.row === null) return this.changed();
    const { scrollTop, scrollHeight, clientHeight } = this.#frame;
    const left = scrollHeight - clientHeight - scrollTop;
    const isUp = scrollTop < this.#top;
    // Only the viewer scrolls up: a change of layout must not stop following the end.
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
    this.#columns = this.#wraps ? Math.max(20, Math.floor(room / this.#cell.width)) : LONGEST_LINE;
    this.changed();
  }

  #clicked(event) {
    const element = event.target.closest(".row.statement");
    if (!element || getSelection().toString() !== "") return;
    this.fold(element.block);
  }
}

/** Copies wrapped rows as the lines that they belong to. */
function copyRows(event) {
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
  event.clipboardData.setData("text/plain", text);
  event.preventDefault();
}

/** Rows that stay visible above a terminal. */
const COMPACT_ROWS = 2;

/** Keys that scroll up. */
const UP = ["ArrowUp", "PageUp", "Home"];

/** A row's padding on both sides, in pixels; keep equal to screen.css. */
const ROW_PADDING = 40;
