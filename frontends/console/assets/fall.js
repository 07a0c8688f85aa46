// How lines fall into rows of so many columns: which row a line begins at, and what a row shows.
//
// Lines are added at the end nearly always, so only what changed is measured again.

import { rowsOf } from "./width.js";

/** The rows of an array of lines. */
export class Fall {
  /** Where each line begins; one more than there are lines, the last is the number of rows. */
  #starts = [0];
  #columns = 0;

  /** Measures the lines from the first one that changed, or all of them for other columns. */
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

  /** The row at which a line begins. */
  startOf(line) {
    return this.#starts[Math.max(0, Math.min(line, this.#starts.length - 1))];
  }

  /** The line that a row belongs to, and which of the line's rows it is. */
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
