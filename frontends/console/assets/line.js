// One line of output: its text and the style of each part.
//
// Invariant: a line contains no control characters; terminal.js has interpreted them.

/** A line that can be written to at any column. A column is one UTF-16 code unit. */
export class Line {
  text = "";
  /** Ascending `[column, style]`, the first at column 0; null when the whole line is plain. */
  spans = null;
  /** The event in which it begins, and how many lines of that event end before it. */
  sequence = 0;
  row = 0;
  /** Whether this continues the previous line, which was too long. */
  isJoined = false;
  /** Incremented with each change. */
  revision = 0;

  /** Overwrites from a column on; a gap before it is filled with spaces. */
  write(column, text, style) {
    this.revision += 1;
    const length = this.text.length;
    if (column > length) this.#append(" ".repeat(column - length), null);
    if (column >= length) return this.#append(text, style);
    const end = column + text.length;
    const after = end < length ? this.#styleAt(end) : null;
    if (this.spans || style) this.#restyle(column, end, style, after, length);
    this.text = this.text.slice(0, column) + text + this.text.slice(end);
  }

  /** Cuts the line off at a column. */
  cut(column) {
    if (column >= this.text.length) return;
    this.revision += 1;
    this.text = this.text.slice(0, column);
    if (!this.spans) return;
    this.spans = this.spans.filter(([start]) => start < column);
    if (this.spans.length === 0) this.spans = null;
  }

  /** The text between two columns in pieces of one style: `[text, style]`. */
  pieces(from, to) {
    if (!this.spans) return [[this.text.slice(from, to), null]];
    const pieces = [];
    for (let at = 0; at < this.spans.length; at += 1) {
      const start = Math.max(this.spans[at][0], from);
      const end = Math.min(this.spans[at + 1]?.[0] ?? this.text.length, to);
      if (start < end) pieces.push([this.text.slice(start, end), this.spans[at][1]]);
    }
    return pieces;
  }

  #append(text, style) {
    const last = this.spans ? this.spans[this.spans.length - 1][1] : null;
    if (style !== last) {
      this.spans ??= this.text === "" ? [] : [[0, null]];
      this.spans.push([this.text.length, style]);
    }
    this.text += text;
  }

  #styleAt(column) {
    let found = null;
    for (const [start, style] of this.spans ?? []) {
      if (start > column) break;
      found = style;
    }
    return found;
  }

  #restyle(from, to, style, after, length) {
    const spans = (this.spans ?? [[0, null]]).filter(([start]) => start < from);
    spans.push([from, style]);
    if (to < length) spans.push([to, after]);
    spans.push(...(this.spans ?? []).filter(([start]) => start > to));
    this.spans = spans.filter(([, style], at) => at === 0 || style !== spans[at - 1][1]);
  }
}
