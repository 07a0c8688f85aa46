// A small emulator for output that goes through pipes: turns it into styled lines. Output of a terminal
// is emulator.js's.
//
// It supports what progress bars and test runners use: colours and text attributes, carriage
// return, backspace, tab, moving the cursor within written lines, and erasing. Other sequences and
// control characters are ignored. A sequence may be split across chunks. Output reaches the page
// only as text, never as HTML.

import { LONGEST_LINE } from "./limits.js";
import { Line } from "./line.js";
import { restyled, style } from "./style.js";

/** The default style of each of a job's streams. */
const PLAIN = {
  stdout: null,
  stderr: style({ isError: true }),
  input: style({ typed: true }),
};

/** A job's lines and cursor. */
export class Terminal {
  lines = [new Line()];
  /** The number of lines dropped at the top. */
  dropped = 0;
  /** The index of the first line that changed since the owner last reset this. */
  changed = 0;
  #row = 0;
  #column = 0;
  #sources = new Map();
  /** The event that is written, and how many lines of it have ended. */
  #event = 0;
  #ended = 0;

  /** Writes a chunk of one stream, which is that of an event. */
  write(text, stream, event = 0) {
    this.#event = event;
    this.#ended = 0;
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

  /** Starts a new line, unless the cursor is at the start of one. */
  endLine() {
    if (this.#column > 0) this.#feed();
  }

  /** The number of lines to show, without an empty last line. */
  get count() {
    const last = this.lines[this.lines.length - 1];
    return this.lines.length - (last.text === "" ? 1 : 0);
  }

  get size() {
    return this.lines.length;
  }

  /** Drops up to `count` lines at the top, and returns how many. */
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
      this.#begun().write(this.#column, rest.slice(0, room), pen);
      rest = rest.slice(room);
      this.#feed();
      this.#line().isJoined = true;
    }
    this.#begun().write(this.#column, rest, pen);
    this.#column += rest.length;
  }

  #control(character, source) {
    if (character === "\n") {
      this.#ended += 1;
      this.#feed();
    } else if (character === "\r") this.#column = 0;
    else if (character === "\b") this.#column = Math.max(0, this.#column - 1);
    else if (character === "\t") this.#put(" ".repeat(8 - (this.#column % 8)), source.pen);
    else if (character === "\x1b") source.state = ESCAPE;
    else if (character === "\x9b") source.begin();
    // Bidirectional control characters could disguise the text that follows.
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
        // An unterminated string hides only the rest of its line.
        source.state = GROUND;
        this.#ended += 1;
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
    // Ignore private sequences, such as mode switches.
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

  #erase(mode) {
    const line = this.#line();
    if (mode === 0) line.cut(this.#column);
    else if (mode === 2) line.cut(0);
    else if (mode === 1 && line.text !== "") {
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

  /** The line of the cursor, where something is about to be written. */
  #begun() {
    const line = this.#line();
    if (line.text === "") Object.assign(line, { sequence: this.#event, row: this.#ended });
    return line;
  }

  #line() {
    return this.lines[this.#row];
  }
}

/** The parser state and current style of one of a job's streams. */
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

/** Columns that the cursor can be moved to: wider than real terminals. */
const WIDEST = 500;

const GROUND = 0;
const ESCAPE = 1;
const CONTROL_SEQUENCE = 2;
const STRING = 3;
const ONE_MORE = 4;
