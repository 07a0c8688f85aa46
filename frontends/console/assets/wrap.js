// Wraps lines into rows of a given width, and maps between lines and rows.
//
// Output mostly grows at its end, so only lines from the first changed one are measured again.

import { rowsOf } from "./width.js";

/** The rows of an array of lines. */
export class LineWrap {
  /** The first row of each line, and at the end the number of rows. */
  #starts = [0];
  #columns = 0;

  /** Measures the lines from `changed` on, or all of them if the width has changed. */
  measure(lines, count, columns, changed) {
    let from = Math.min(changed, this.#starts.length - 1, count);
    if (columns !== this.#columns) from = 0;
    this.#columns = columns;
    this.#starts.length = from + 1;
    let row = this.#starts[from];
    for (let at = from; at < count; at += 1) {
      row += rowsOf(lines[at].text, columns);
      this.#starts.push(row);
    }
    return row;
  }

  get rows() {
    return this.#starts[this.#starts.length - 1];
  }

  /** The first row of a line. */
  startOf(line) {
    return this.#starts[Math.max(0, Math.min(line, this.#starts.length - 1))];
  }

  /** The line of a row, and the row's index in that line. */
  at(row) {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low + 1 < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle] <= row) low = middle;
      else high = middle;
    }
    return [low, row - this.#starts[low]];
  }
}
