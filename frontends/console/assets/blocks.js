// The blocks of a session, from top to bottom, and the rows of each.
//
// A block is a job (its command, its output, how it ended) or a note (something that happened to
// the session). A row is `{kind, line, part}`: one part of one line.

import { LineWrap } from "./wrap.js";
import { Emulator } from "./emulator.js";
import { Line } from "./line.js";
import { Terminal } from "./terminal.js";
import { counted, ending } from "./format.js";

/** Columns taken by the mark before a command and the badge after it. */
const STATEMENT_MARGIN = 2;
const BADGE_COLUMNS = 16;

/** Something that happened to the session itself. */
export class Note {
  isJob = false;

  constructor(sequence, at, text, tone) {
    Object.assign(this, { sequence, at, tone, line: plain(text), name: `note ${sequence}` });
    this.wrap = new LineWrap();
  }

  measure(columns) {
    return this.wrap.measure([this.line], 1, columns, 0) + 1;
  }

  row(number) {
    if (number >= this.wrap.rows) return GAP;
    return { kind: "note", line: this.line, part: number };
  }

  text() {
    return `— ${this.line.text}\n`;
  }
}

/** A job: its command, its output and its outcome. */
export class Job {
  isJob = true;
  place = "foreground";
  state = "submitted";
  takesInput = false;
  isInterrupting = false;
  /** The account that ran it, and the one that interrupted it, if they are known. */
  by = null;
  interruptedBy = null;
  outcome = null;
  status = null;
  started = null;
  finished = null;
  /** The sequence of the event that ended it. */
  lastSequence = null;
  /** Whether the terminal is shown by itself, and not among the rows. */
  isInFrame = false;
  /** Whether it has a terminal and shows something else. */
  isUnused = false;
  /** Incremented with each change of the badge beside the command. */
  revision = 0;
  #statement = new LineWrap();
  #output = new LineWrap();
  #isFolded = false;
  #end = null;

  /** `screen` is what its terminal shows at first, if it has one: `{columns, rows, content}`. */
  constructor(job, sequence, at, statement, screen = null) {
    Object.assign(this, { job, sequence, at, statement, name: `job ${job}` });
    this.isTerminal = screen !== null;
    this.terminal = screen ? new Emulator(screen) : new Terminal();
    this.lines = this.title.replace(/\s+$/, "").split("\n").map(plain);
    this.omitted = plain("");
  }

  /** Whether it is a shell that somebody types into. */
  get isShell() {
    return this.isTerminal && this.statement.trim() === "";
  }

  /** What to call it: its command. */
  get title() {
    return this.isShell ? "shell" : this.statement;
  }

  /** Ends the job as the event `job-finished` says. */
  finish(event) {
    const { outcome, status, at } = event;
    Object.assign(this, { state: "finished", outcome, status, finished: at });
    this.lastSequence = event.sequence;
    this.revision += 1;
    if (this.isTerminal) this.terminal.end();
    const text = ending(this, event.message);
    this.#end = text ? plain(text) : null;
  }

  /** The number of rows; of a folded job only those of its command. */
  measure(columns, isFolded) {
    this.#isFolded = isFolded;
    const room = Math.max(16, columns - STATEMENT_MARGIN - BADGE_COLUMNS);
    const head = this.#statement.measure(this.lines, this.lines.length, room, Infinity);
    if (isFolded) return head + 1;
    if (this.isInFrame) return head;
    const { terminal } = this;
    const output = this.#output.measure(terminal.lines, terminal.count, columns, terminal.changed);
    terminal.changed = Infinity;
    return head + this.#omittedRows + output + (this.#end ? 1 : 0) + 1;
  }

  row(number) {
    let rest = number;
    if (rest < this.#statement.rows) {
      const [line, part] = this.#statement.at(rest);
      const isFirst = rest === 0;
      return { kind: "statement", line: this.lines[line], part, isFirst };
    }
    rest -= this.#statement.rows;
    if (this.#isFolded) return GAP;
    if (rest < this.#omittedRows) {
      const count = this.terminal.dropped;
      const text = `${counted(count, "earlier line")} ${count === 1 ? "has" : "have"} left this page`;
      if (this.omitted.text !== text) this.omitted = plain(text);
      return { kind: "omitted", line: this.omitted, part: 0 };
    }
    rest -= this.#omittedRows;
    if (rest < this.#output.rows) {
      const [line, part] = this.#output.at(rest);
      return { kind: "output", line: this.terminal.lines[line], part, number: line };
    }
    rest -= this.#output.rows;
    if (this.#end && rest === 0) return { kind: "ending", line: this.#end, part: 0 };
    return GAP;
  }

  /** A place that stays valid when lines are added or dropped; `rowOf` turns it back into a row. */
  placeOf(number) {
    const { kind, number: line, part } = this.row(number);
    if (kind !== "output") return { kind, number };
    return { kind, line: this.terminal.dropped + line, part };
  }

  /** The current row of a place. */
  rowOf(place) {
    if (place.kind !== "output") return place.number;
    const line = place.line - this.terminal.dropped;
    const start = this.#statement.rows + this.#omittedRows;
    return this.#isFolded ? 0 : start + this.#output.startOf(line) + (line < 0 ? 0 : place.part);
  }

  /** The block as text. */
  text() {
    const { lines, count, dropped } = this.terminal;
    const parts = [`$ ${this.title}\n`];
    if (dropped > 0) parts.push(`(${counted(dropped, "earlier line")} ${dropped === 1 ? "has" : "have"} left the page)\n`);
    for (let at = 0; at < count; at += 1) {
      parts.push(lines[at].text, lines[at + 1]?.isJoined ? "" : "\n");
    }
    if (this.#end) parts.push(`— ${this.#end.text}\n`);
    return parts.join("");
  }

  get #omittedRows() {
    return this.terminal.dropped > 0 ? 1 : 0;
  }
}

function plain(text) {
  const line = new Line();
  line.write(0, text.replace(CONTROLS, "\ufffd").replaceAll("\t", "    "), null);
  return line;
}

const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
const GAP = { kind: "gap", line: new Line(), part: 0 };
