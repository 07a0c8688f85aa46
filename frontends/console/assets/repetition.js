// A bound that xterm.js lacks: it does what `ESC[2147483647L` asks two thousand million times, and no
// script of the page runs meanwhile.

import { MOST_REPETITIONS } from "./limits.js";

/** Makes a terminal ignore sequences that repeat something more often than a screen has room for. */
export function boundRepetition(terminal) {
  for (const final of REPEATING) {
    terminal.parser.registerCsiHandler({ final }, ([count]) => count > MOST_REPETITIONS);
  }
}

/** Insert and delete lines, scroll up and down, tab forwards and back, repeat a character. */
const REPEATING = ["L", "M", "S", "T", "I", "Z", "b"];
