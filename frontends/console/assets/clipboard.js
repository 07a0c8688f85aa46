// Text for elsewhere: on the clipboard, or as a file.

import { make } from "./dom.js";

/** Puts text on the clipboard; false where the browser does not let it. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

/** Gives text to the user as a file. */
export function saveText(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Without encryption, on an address that is not this machine's, browsers have the old way only. */
function copyBySelection(text) {
  const field = make("textarea", { className: "unseen", value: text });
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
