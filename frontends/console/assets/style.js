// Text styles of output, and how the sequence `ESC[…m` (SGR) changes them.
//
// A style is immutable, and equal styles are the same object, so they compare by `===`. `null` is
// plain output.

import { KNOWN_STYLES } from "./limits.js";

const known = new Map();

/** The interned style for these properties; false and null ones are left out. */
export function style(properties) {
  const kept = Object.entries(properties).filter(([, value]) => value !== null && value !== false);
  if (kept.length === 0) return null;
  const key = JSON.stringify(kept.sort());
  let found = known.get(key);
  if (!found) {
    if (known.size >= KNOWN_STYLES) known.clear();
    found = Object.freeze(Object.fromEntries(kept));
    known.set(key, found);
  }
  return found;
}

/**
 * The style after the parameters of one `ESC[…m`.
 *
 * A colour is a number (0 to 15: the theme's own, to 255: the fixed palette) or "#rrggbb".
 */
export function restyled(before, parameters, plain) {
  let pen = { ...before };
  for (let at = 0; at < parameters.length; at += 1) {
    const code = parameters[at];
    if (code === 0) pen = { ...plain };
    else if (code === 1) pen.bold = true;
    else if (code === 2) pen.dim = true;
    else if (code === 3) pen.italic = true;
    else if (code === 4) pen.underline = true;
    else if (code === 7) pen.inverse = true;
    else if (code === 8) pen.hidden = true;
    else if (code === 9) pen.strike = true;
    else if (code === 21) pen.underline = true;
    else if (code === 22) pen.bold = pen.dim = false;
    else if (code === 23) pen.italic = false;
    else if (code === 24) pen.underline = false;
    else if (code === 27) pen.inverse = false;
    else if (code === 28) pen.hidden = false;
    else if (code === 29) pen.strike = false;
    else if (code >= 30 && code <= 37) pen.colour = code - 30;
    else if (code === 39) pen.colour = null;
    else if (code >= 40 && code <= 47) pen.ground = code - 40;
    else if (code === 49) pen.ground = null;
    else if (code >= 90 && code <= 97) pen.colour = code - 82;
    else if (code >= 100 && code <= 107) pen.ground = code - 92;
    else if (code === 38 || code === 48) {
      const [colour, taken] = extended(parameters, at + 1);
      if (colour !== null) pen[code === 38 ? "colour" : "ground"] = colour;
      at += taken;
    }
  }
  return style(pen);
}

/** The colour of `5;n` or `2;r;g;b`, and the number of parameters used. */
function extended(parameters, at) {
  const byte = (value) => (value >= 0 && value <= 255 ? value : null);
  if (parameters[at] === 5) return [byte(parameters[at + 1]), 2];
  if (parameters[at] !== 2) return [null, 0];
  const parts = parameters.slice(at + 1, at + 4).map(byte);
  const isWhole = parts.length === 3 && parts.every((part) => part !== null);
  return [isWhole ? hex(parts) : null, 4];
}

/** A palette colour as "#rrggbb"; colours 0 to 15 come from the theme instead. */
export function ofPalette(number) {
  if (number >= 232) return hex(Array(3).fill(8 + 10 * (number - 232)));
  const level = (value) => (value === 0 ? 0 : 55 + 40 * value);
  const cube = number - 16;
  return hex([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
}

function hex(parts) {
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}
