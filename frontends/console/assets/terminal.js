// What a job's output looks like on a terminal: chunks with escape sequences in, lines out.
//
// Understood are colours and other looks, carriage return, backspace, tab, moving the cursor
// within what was written, and erasing: what progress bars and test runners do. Every other
// sequence and control character is swallowed. What is never true: that a character of the output
// is lost because an escape sequence is cut in two by chunks, or that output reaches the page as
// anything but text.

import { LONGEST_LINE } from "./limits.js";
import { Line } from "./line.js";
import { restyled, style } from "./style.js";

/** What each of a job's streams looks like when it says nothing about that. */
const PLAIN = {
  stdout: null,
  stderr: style({ isError: true }),
  input: style({ typed: true }),
};

/** A job's lines, and where its cursor is. */
export class Terminal {
  lines = [new Line()];
  /** How many lines have left at the top. */
  dropped = 0;
  /** The first line, from the top, that changed since this was last set. */
  changed = 0;
  #row = 0;
  #column = 0;
  #sources = new Map();

  /** Writes what one of the streams said. */
  write(text, stream) {
    let source = this.#sources.get(stream);
    if (!source) this.#sources.set(stream, (source = new Source(PLAIN[stream] ?? null)));
    this.changed = Math.min(this.changed, this.#row);
    let at = 0;
    while (at < text.length) {
      if (source.state !== GROUND) {
        this.#escape(text[at], source);
        at += 1;
        continue;
      }
      CONTROL.lastIndex = at;
      const end = CONTROL.test(text) ? CONTROL.lastIndex - 1 : text.length;
      if (end > at) this.#put(text.slice(at, end), source.pen);
      if (end < text.length) this.#control(text[end], source);
      at = end + 1;
    }
  }

  /** Begins a new line, unless the cursor stands at the beginning of one. */
  endLine() {
    if (this.#column > 0) this.#feed();
  }

  /** How many lines there are to show: not the last one, when nothing is in it. */
  get count() {
    const last = this.lines[this.lines.length - 1];
    return this.lines.length - (last.text === "" ? 1 : 0);
  }

  /** Takes lines away at the top. */
  drop(count) {
    const gone = Math.min(count, this.lines.length - 1);
    this.lines.splice(0, gone);
    this.dropped += gone;
    this.#row = Math.max(0, this.#row - gone);
    this.changed = 0;
    return gone;
  }

  #put(text, pen) {
    let rest = text;
    while (this.#column + rest.length > LONGEST_LINE) {
      const room = Math.max(0, LONGEST_LINE - this.#column);
      this.#line().write(this.#column, rest.slice(0, room), pen);
      rest = rest.slice(room);
      this.#feed();
      this.#line().isJoined = true;
    }
    this.#line().write(this.#column, rest, pen);
    this.#column += rest.length;
  }

  #control(character, source) {
    if (character === "\n") this.#feed();
    else if (character === "\r") this.#column = 0;
    else if (character === "\b") this.#column = Math.max(0, this.#column - 1);
    else if (character === "\t") this.#put(" ".repeat(8 - (this.#column % 8)), source.pen);
    else if (character === "\x1b") source.state = ESCAPE;
    else if (character === "\x9b") source.begin();
    // Text that would turn the reading direction of what follows.
    else if (character >= "\u202a") this.#put("\ufffd", source.pen);
  }

  #escape(character, source) {
    if (character === "\x18" || character === "\x1a") source.state = GROUND;
    else if (source.state === ESCAPE) this.#afterEscape(character, source);
    else if (source.state === ONE_MORE) source.state = GROUND;
    else if (source.state === STRING) {
      if (character === "\x07" || character === "\x9c") source.state = GROUND;
      else if (character === "\x1b") source.state = ESCAPE;
      else if (character === "\n") {
        // What is never ended hides nothing but its own line.
        source.state = GROUND;
        this.#feed();
      }
    } else if (character === "\x1b") source.state = ESCAPE;
    else if (character >= "@" && character <= "~") {
      source.state = GROUND;
      this.#sequence(character, source);
    } else if (character < " ") this.#control(character, source);
    else if (source.parameters.length < 64) source.parameters += character;
  }

  #afterEscape(character, source) {
    if (character === "[") source.begin();
    else if ("]PX^_".includes(character)) source.state = STRING;
    else if (character >= " " && character <= "/") source.state = ONE_MORE;
    else source.state = GROUND;
  }

  #sequence(final, source) {
    const text = source.parameters;
    // Private sequences are for real terminals.
    if (/[^0-9;:]/.test(text)) return;
    const parameters = text.split(/[;:]/).map((part) => Math.min(Number(part), 9_999));
    const count = Math.max(1, parameters[0]);
    if (final === "m") source.pen = restyled(source.pen, parameters, source.plain);
    else if (final === "A") this.#moveTo(this.#row - count);
    else if (final === "B") this.#moveTo(this.#row + count);
    else if (final === "E" || final === "F") {
      this.#moveTo(this.#row + (final === "E" ? count : -count));
      this.#column = 0;
    } else if (final === "C") this.#column = Math.min(this.#column + count, WIDEST - 1);
    else if (final === "D") this.#column = Math.max(0, this.#column - count);
    else if (final === "G") this.#column = Math.min(count, WIDEST) - 1;
    else if (final === "K") this.#erase(parameters[0]);
    else if (final === "J" && parameters[0] === 0) this.#eraseBelow();
  }

  #erase(how) {
    const line = this.#line();
    if (how === 0) line.cut(this.#column);
    else if (how === 2) line.cut(0);
    else if (how === 1 && line.text !== "") {
      line.write(0, " ".repeat(Math.min(this.#column + 1, line.text.length)), null);
    }
  }

  #eraseBelow() {
    this.#erase(0);
    this.lines.length = this.#row + 1;
  }

  #moveTo(row) {
    this.#row = Math.max(0, Math.min(row, this.lines.length - 1));
    this.changed = Math.min(this.changed, this.#row);
  }

  #feed() {
    this.#row += 1;
    this.#column = 0;
    if (this.#row === this.lines.length) this.lines.push(new Line());
  }

  #line() {
    return this.lines[this.#row];
  }
}

/** One of a job's streams: in the middle of what it is, and how what it says looks. */
class Source {
  state = GROUND;
  parameters = "";

  constructor(plain) {
    this.plain = plain;
    this.pen = plain;
  }

  begin() {
    this.state = CONTROL_SEQUENCE;
    this.parameters = "";
  }
}

const CONTROL = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** Columns that the cursor can be moved to: more than terminals are wide. */
const WIDEST = 500;

const GROUND = 0;
const ESCAPE = 1;
const CONTROL_SEQUENCE = 2;
const STRING = 3;
const ONE_MORE = 4;
