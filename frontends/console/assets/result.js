// Turns results into text for the terminal.
//
// Results of the shell are chunks of output. Results of Arthas are shown as Arthas shows them. Others
// are JSON objects, which are shown as columns.

import { arthasText } from "./arthas.js";

/** Decodes the output of a session's jobs; chunks may split a character. */
export class Decoding {
  #decoders = new Map();

  /** The text of a result: `[text, stream]`. */
  textOf(job, result) {
    const stream = result.stream === "stderr" ? "stderr" : "stdout";
    const key = `${job} ${stream}`;
    const decoder = this.#decoders.get(key);
    if (typeof result.contentBase64 === "string") {
      const streaming = decoder ?? new TextDecoder();
      this.#decoders.set(key, streaming);
      return [streaming.decode(bytes(result.contentBase64), { stream: true }), stream];
    }
    const rest = decoder ? decoder.decode() : "";
    if (decoder) this.#decoders.delete(key);
    const arthas = isOfRejoin(result) ? null : arthasText(result);
    if (arthas !== null) return [rest + arthas, stream];
    if (typeof result.content === "string") return [rest + result.content, stream];
    return [rest + columns(result), stream];
  }

  /** Removes a job, and returns the text of incomplete characters. */
  ended(job) {
    let rest = "";
    for (const stream of ["stdout", "stderr"]) {
      const key = `${job} ${stream}`;
      rest += this.#decoders.get(key)?.decode() ?? "";
      this.#decoders.delete(key);
    }
    return rest;
  }
}

/** Whether Rejoin itself gave the result: Arthas has commands of some of the same names. */
function isOfRejoin({ type, upstreamJobId }) {
  return upstreamJobId === undefined && BUILTINS.includes(type);
}

const BUILTINS = ["shell", "terminal", "help", "history", "jobs", "session", "version"];

/** The bytes of a terminal's result. */
export function bytesOf({ content, contentBase64 }) {
  return typeof contentBase64 === "string" ? bytes(contentBase64) : new TextEncoder().encode(content ?? "");
}

function bytes(base64) {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return new TextEncoder().encode("\ufffd");
  }
}

/** An object as lines: each member a line, and a list of objects as a table. */
function columns(result) {
  const lines = [];
  for (const [name, value] of Object.entries(result)) {
    if (name === "jobId" || name === "type") continue;
    if (isTable(value)) lines.push(...table(value));
    else if (Array.isArray(value) && value.length === 0) lines.push(`${name}  none`);
    else lines.push(`\x1b[2m${name}\x1b[22m  ${cell(value, name)}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

function isTable(value) {
  const isObject = (it) => it !== null && typeof it === "object" && !Array.isArray(it);
  return Array.isArray(value) && value.length > 0 && value.every(isObject);
}

function table(objects) {
  const all = [...new Set(objects.flatMap((it) => Object.keys(it)))];
  const widest = (name) => Math.max(...objects.map((it) => cell(it[name], name).length));
  // Long values come last, where they push nothing aside.
  const names = [...all.filter((it) => widest(it) <= LONG), ...all.filter((it) => widest(it) > LONG)];
  const cells = [names, ...objects.map((it) => names.map((name) => cell(it[name], name)))];
  const widths = names.map((_, at) => Math.max(...cells.map((line) => line[at].length)));
  const padded = cells.map((line) => line.map((it, at) => it.padEnd(widths[at])).join("  "));
  const [head, ...lines] = padded.map((line) => line.trimEnd());
  return [`\x1b[2m${head}\x1b[22m`, ...lines];
}

function cell(value, name) {
  if (value === undefined || value === null) return "";
  if (INSTANTS.includes(name)) return new Date(value).toISOString().slice(0, 19).replace("T", " ");
  return typeof value === "string" ? value.replaceAll("\n", " ") : JSON.stringify(value);
}

/** Members that are instants: milliseconds since 1970. */
const INSTANTS = ["since", "createTime"];

/** Characters from which on a column is long. */
const LONG = 24;
