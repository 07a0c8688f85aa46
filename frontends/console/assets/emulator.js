// What a terminal's output looks like as lines, computed by xterm.js without showing it.
//
// Lines that have left the screen at the top are final and kept as plain lines; when the job has ended,
// all are. So only running jobs need an emulator. The same output always gives the same lines.

import { EMULATED_PART, EMULATED_ROWS, LONGEST_LINE } from "./limits.js";
import { Line } from "./line.js";
import { boundRepetition } from "./repetition.js";
import { style } from "./style.js";
import { Unicode11Addon } from "./vendor/addon-unicode11.mjs";
import { Terminal } from "./vendor/xterm.mjs";

/** The lines of one job's terminal. It has what `Terminal` in terminal.js has. */
export class Emulator {
  /** The number of lines dropped at the top. */
  dropped = 0;
  /** The index of the first line that changed since the owner last reset this. */
  changed = 0;
  #terminal;
  #lines = [];
  /** How many of the lines are final. */
  #final = 0;
  #isSettled = true;
  /** xterm.js would leave out bytes that are not UTF-8; this makes them U+FFFD, as the server does. */
  #decoder = new TextDecoder();

  /** An empty terminal of a size, or one that shows a screen: `{columns, rows, content}`. */
  constructor({ columns, rows, content = "" }) {
    this.#terminal = new Terminal({
      allowProposedApi: true,
      cols: columns,
      rows,
      scrollback: EMULATED_ROWS + EMULATED_PART,
      logLevel: "off",
    });
    this.#terminal.loadAddon(new Unicode11Addon());
    this.#terminal.unicode.activeVersion = "11";
    boundRepetition(this.#terminal);
    // A program that erases what has scrolled off erases it here, too.
    this.#terminal.parser.registerCsiHandler({ final: "J" }, ([part]) => {
      if (part === 3) this.#forget();
      return false;
    });
    this.write(new TextEncoder().encode(content));
  }

  /** Writes bytes of the program, or text whose lines end with line feeds. */
  write(said) {
    if (!this.#terminal) return;
    const bytes = typeof said === "string" ? new TextEncoder().encode(said.replaceAll("\n", "\r\n")) : said;
    // A character scrolls at most one row, so none is lost before it has been copied.
    const text = this.#decoder.decode(bytes, { stream: true });
    for (let at = 0; at < text.length; at += EMULATED_PART) {
      this.#terminal._core.writeSync(text.slice(at, at + EMULATED_PART));
      if (this.#terminal.buffer.normal.baseY >= EMULATED_ROWS) this.#finish();
    }
    this.#isSettled = false;
    this.changed = Math.min(this.changed, this.#final);
  }

  /** Gives the terminal another size. */
  resize({ columns, rows }) {
    this.#terminal?.resize(columns, rows);
    this.#isSettled = false;
    this.changed = Math.min(this.changed, this.#final);
  }

  /** Keeps the lines as they are; nothing more is written. */
  end() {
    this.#settle();
    this.#final = this.#lines.length;
    this.#terminal?.dispose();
    this.#terminal = null;
  }

  endLine() {}

  get lines() {
    this.#settle();
    return this.#lines;
  }

  /** The number of lines to show. */
  get count() {
    return this.lines.length;
  }

  /** About how many lines there are, without looking at the screen. */
  get size() {
    return this.#terminal ? this.#final + this.#terminal.buffer.normal.baseY : this.#lines.length;
  }

  /** Drops up to `count` lines at the top, and returns how many. */
  drop(count) {
    const gone = Math.min(count, this.#final);
    this.#lines.splice(0, gone);
    this.#final -= gone;
    this.dropped += gone;
    this.changed = 0;
    return gone;
  }

  /** Makes the rows above the screen final. */
  #finish() {
    const { normal } = this.#terminal.buffer;
    this.#lines.length = this.#final;
    this.#read(normal, 0, normal.baseY);
    this.#final = this.#lines.length;
    const { scrollback } = this.#terminal.options;
    this.#terminal.options.scrollback = 0;
    this.#terminal.options.scrollback = scrollback;
  }

  /** Brings the lines up to date: the final ones, and what the screen shows. */
  #settle() {
    if (this.#isSettled || !this.#terminal) return;
    this.#isSettled = true;
    const { active, normal } = this.#terminal.buffer;
    this.#lines.length = this.#final;
    this.#read(normal, 0, normal.baseY);
    this.#read(active, active.baseY, active.baseY + this.#terminal.rows);
    while (this.#lines.length > this.#final && this.#lines[this.#lines.length - 1].text === "") this.#lines.pop();
  }

  /** Appends rows; those that the terminal has wrapped become one line again. */
  #read(buffer, from, to) {
    let last = null;
    const cell = buffer.getNullCell();
    for (let at = from; at < to; at += 1) {
      const row = buffer.getLine(at);
      if (!row) break;
      const line = last && row.isWrapped && last.text.length < LONGEST_LINE ? last : new Line();
      if (line !== last) {
        line.isJoined = row.isWrapped && this.#lines.length > 0;
        this.#lines.push(line);
      }
      const isWhole = buffer.getLine(at + 1)?.isWrapped === true;
      readRow(row, isWhole, line, cell);
      last = line;
    }
  }

  #forget() {
    this.#lines.splice(0, this.#final);
    this.#final = 0;
    this.changed = 0;
  }
}

/** Appends the cells of a row to a line; empty ones at the end only if the next row continues it. */
function readRow(row, isWhole, line, cell) {
  // Joined at the end: a string that grows by letters is slow to read.
  let letters = [];
  let look = null;
  let blanks = 0;
  const put = () => {
    if (letters.length > 0) line.write(line.text.length, letters.join("").replace(BIDI, "\ufffd"), look);
    letters = [];
  };
  for (let at = 0; at < row.length; at += 1) {
    row.getCell(at, cell);
    if (cell.getWidth() === 0) continue;
    const shown = cell.getChars();
    const next = cell.isAttributeDefault() ? null : lookOf(cell);
    if (shown === "" && (next === null || next.ground === undefined) && !next?.inverse) {
      blanks += 1;
      continue;
    }
    if (blanks > 0) {
      if (look !== null) put();
      look = null;
      letters.push(" ".repeat(blanks));
      blanks = 0;
    }
    if (next !== look) put();
    look = next;
    letters.push(shown === "" ? " " : shown);
  }
  put();
  if (isWhole && blanks > 0) line.write(line.text.length, " ".repeat(blanks), null);
}

function lookOf(cell) {
  return style({
    bold: cell.isBold() !== 0,
    dim: cell.isDim() !== 0,
    italic: cell.isItalic() !== 0,
    underline: cell.isUnderline() !== 0,
    strike: cell.isStrikethrough() !== 0,
    hidden: cell.isInvisible() !== 0,
    inverse: cell.isInverse() !== 0,
    colour: colour(cell.isFgRGB(), cell.isFgPalette(), cell.getFgColor()),
    ground: colour(cell.isBgRGB(), cell.isBgPalette(), cell.getBgColor()),
  });
}

function colour(isRgb, isPalette, value) {
  if (isRgb) return `#${value.toString(16).padStart(6, "0")}`;
  return isPalette ? value : null;
}

/** Characters that change the direction of what follows, and so could disguise it. */
const BIDI = /[\u202a-\u202e\u2066-\u2069]/g;
