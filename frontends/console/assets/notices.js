// What is told in passing: short notices that go away, and what a screen reader says.

import { find, make } from "./dom.js";

const SHOWN = 6_000;

/** Tells something for some seconds. */
export function notice(text, tone = "plain") {
  const told = make("p", { className: `notice ${tone}`, textContent: text });
  find("notices").append(told);
  setTimeout(() => told.remove(), SHOWN);
}

/** Tells why something did not work. */
export function failed(error) {
  if (error.name === "AbortError") return;
  notice(error.message, "bad");
}

/** Says something to those who listen instead of looking. */
export function say(text) {
  find("said").textContent = text;
}
