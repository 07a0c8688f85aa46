// Renders one row of the screen as elements. Text is set as text, styles are classes, and colours
// outside the theme are set through the element's style object, never through markup.

import { icon, make } from "./dom.js";
import { ofPalette } from "./style.js";
import { part } from "./width.js";
import { badge, counted, jobStatus } from "./format.js";

/** Renders a row into an element, unless the element shows it already. */
export function renderRow(element, block, row, view) {
  const { kind, line } = row;
  const beside = kind === "statement" && row.isFirst ? badgeOf(block, view) : "";
  const shown = element.shown;
  const isShown =
    shown &&
    shown.line === line &&
    shown.revision === line.revision &&
    shown.part === row.part &&
    shown.columns === view.columns &&
    shown.beside === beside &&
    shown.kind === kind;
  if (isShown) return;
  const { columns } = view;
  element.shown = { line, revision: line.revision, part: row.part, columns, beside, kind };
  element.dataset.goesOn = row.part > 0 || (kind === "output" && line.isJoined) ? "true" : "";
  if (kind === "output") return renderOutput(element, line, row.part, columns);
  element.className = `row ${kind}`;
  if (kind === "gap") return element.replaceChildren();
  if (kind === "statement") return renderStatement(element, block, row, view, beside);
  const tone = kind === "note" ? block.tone : kind === "ending" ? block.outcome : "quiet";
  element.classList.add(`tone-${tone}`);
  const [from, to] = part(line.text, columns, row.part);
  element.replaceChildren(line.text.slice(from, to));
}

/** Styled text as elements. */
function styledElement(text, look) {
  if (!look) return text;
  const span = make("span", { textContent: text });
  let colour = look.colour ?? null;
  let ground = look.ground ?? null;
  if (look.inverse) [colour, ground] = [ground, colour ?? "text"];
  const names = LOOKS.filter((name) => look[name]);
  if (ground !== null) names.push(tint(span, "g", "background-color", ground));
  if (colour !== null) names.push(tint(span, "c", ground === null ? "--own" : "color", colour));
  span.className = names.join(" ");
  return span;
}

function renderOutput(element, line, number, columns) {
  const isWhole = number === 0 && line.text.length <= columns / 2;
  const [from, to] = isWhole ? [0, line.text.length] : part(line.text, columns, number);
  const pieces = line.pieces(from, to);
  const isError = pieces.some(([, look]) => look?.isError);
  element.className = isError ? "row output is-error" : "row output";
  element.replaceChildren(...pieces.map(([text, look]) => styledElement(text, look)));
}

function renderStatement(element, block, row, view, beside) {
  const room = Math.max(16, view.columns - 18);
  const [from, to] = part(row.line.text, room, row.part);
  const text = make("span", { className: "text", textContent: row.line.text.slice(from, to) });
  if (!row.isFirst) return element.replaceChildren(make("span", { className: "mark" }), text);
  const isFolded = view.folded.has(block.name);
  // What has the focus stays in its place, also while a row is drawn each second.
  const first = element.firstElementChild;
  const isThere = first?.matches("button.mark");
  const mark = isThere ? first : make("button", { className: "mark", type: "button", textContent: "$" });
  mark.setAttribute("aria-expanded", String(!isFolded));
  mark.setAttribute("aria-label", isFolded ? "Show the output" : "Fold the output");
  element.classList.toggle("is-folded", isFolded);
  if (!isThere) element.replaceChildren(mark);
  while (mark.nextSibling) mark.nextSibling.remove();
  element.append(text, badgeElement(block, beside));
}

/** The badge beside a command. */
export function badgeElement(job, text) {
  const element = make("span", { className: `badge is-${jobStatus(job).replace(" ", "-")}` });
  element.title = job.by ? `${jobStatus(job)} · run by ${job.by}` : jobStatus(job);
  if (job.place === "background") element.append(make("span", { className: "place" }, "background "));
  if (job.isAgents) element.append(make("span", { className: "agent" }, "agent "));
  element.append(stateIcon(STATE_ICONS[jobStatus(job)] ?? "failed", jobStatus(job)), text);
  return element;
}

/** A state as a form, not as a colour alone, with its name for those who don't see it. */
export function stateIcon(name, label) {
  const element = icon(name);
  element.removeAttribute("aria-hidden");
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", label);
  return element;
}

const STATE_ICONS = {
  "running": "running",
  "completed": "completed",
  "failed": "failed",
  "lost": "lost",
  "interrupted": "interrupted",
  "interrupting": "interrupted",
  "timed out": "timed-out",
};

function badgeOf(block, view) {
  const folded = view.folded.has(block.name) ? `${counted(block.terminal.count, "line")} · ` : "";
  return folded + badge(block, view.now);
}

function tint(span, letter, property, colour) {
  if (colour === "text" || colour < 16) return `${letter}${colour}`;
  span.style.setProperty(property, typeof colour === "number" ? ofPalette(colour) : colour);
  return property === "--own" ? "own" : "";
}

const LOOKS = ["bold", "dim", "italic", "underline", "strike", "hidden", "typed"];
