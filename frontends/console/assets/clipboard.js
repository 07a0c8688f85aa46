// Copies text to the clipboard, or saves it as a file.

import { make } from "./dom.js";

/** Copies text to the clipboard; false if the browser refuses. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** Downloads text as a file. */
export function saveText(name, text) {
  saveBlob(name, new Blob([text], { type: "text/plain;charset=utf-8" }));
}

/** Downloads what a blob has as a file. */
export function saveBlob(name, blob) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Downloads what is at an address of this server as a file. */
export function saveFrom(address, name) {
  make("a", { href: address, download: name }).click();
}

/** For pages without HTTPS, where browsers offer no clipboard API. */
function copyBySelection(text) {
  const field = make("textarea", { className: "unseen", value: text });
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
