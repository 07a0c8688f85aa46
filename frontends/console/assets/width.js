// Measures the width of text in columns, and cuts it into rows: between words where it can.
//
// East Asian characters and emoji take two columns, combining marks none.

/** Whether every UTF-16 code unit of a text takes exactly one column. */
export function isNarrow(text) {
  return !MAYBE_WIDE.test(text);
}

/** The number of rows that a text takes at a width of `columns`: at least one. */
export function rowsOf(text, columns) {
  if (text.length <= columns / 2) return 1;
  return cuts(text, columns).length;
}

/** The index at which each row of a text starts. */
export function cuts(text, columns) {
  if (isNarrow(text)) return narrowCuts(text, columns);
  const starts = [0];
  let used = 0;
  let at = 0;
  // After the last space of the row: the index, and the columns up to there.
  let space = 0;
  let usedAtSpace = 0;
  for (const character of text) {
    const width = widthOf(character.codePointAt(0));
    if (used + width > columns && used > 0 && character !== " ") {
      const isWord = usedAtSpace > columns / 2;
      starts.push(isWord ? space : at);
      used = isWord ? used - usedAtSpace : 0;
      usedAtSpace = 0;
    }
    used += width;
    at += character.length;
    if (character === " ") [space, usedAtSpace] = [at, used];
  }
  return starts;
}

/** As `cuts`, if every character takes one column. A space after a full row stays invisible there. */
function narrowCuts(text, columns) {
  const starts = [0];
  let from = 0;
  while (text.length - from > columns) {
    let next = from + columns;
    if (text[next] === " ") {
      while (text[next] === " ") next += 1;
    } else {
      // A long word is cut rather than half a row left empty.
      const half = next - Math.floor(columns / 2);
      next = half + text.slice(half, next).lastIndexOf(" ") + 1;
      if (next === half) next = from + columns;
    }
    if (next >= text.length) break;
    starts.push(next);
    from = next;
  }
  return starts;
}

/** The start and end index of one row of a text. */
export function part(text, columns, row) {
  const starts = cuts(text, columns);
  return [starts[row] ?? text.length, starts[row + 1] ?? text.length];
}

function widthOf(code) {
  if (code < 0x300) return 1;
  if (COMBINING.test(String.fromCodePoint(code))) return 0;
  return WIDE.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}

// Latin, Greek, Cyrillic, punctuation, arrows, boxes and blocks take one column.
const MAYBE_WIDE = /[^\u0000-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u2190-\u22ff\u2500-\u25ff\u2713-\u2718\u276e\u276f]/;
const COMBINING = /\p{Mn}|\p{Me}|\u200b|\u200d|\ufe0f/u;
const WIDE = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x23e9, 0x23f3],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xa000, 0xa4cf],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x1fa70, 0x1faff],
  [0x20000, 0x3fffd],
];
