// Notices that disappear after some seconds, and announcements for screen readers.

import { find, make } from "./dom.js";

const SHOWN = 6_000;

/** Shows a notice for some seconds. */
export function notice(text, tone = "plain") {
  const element = make("p", { className: `notice ${tone}`, textContent: text });
  find("notices").append(element);
  setTimeout(() => element.remove(), SHOWN);
}

/** Shows the message of an error. */
export function failed(error) {
  if (error.name === "AbortError") return;
  notice(error.message, "bad");
}

/** Announces a text to screen readers. */
export function say(text) {
  find("said").textContent = text;
}
