// Modal dialogs: confirmation, login, a session's title and labels, and the list of keys.

import { login } from "./api.js";
import { find, make, setText } from "./dom.js";

/** Whether the user confirms. */
export function confirmed(title, text, yes) {
  const dialog = find("confirm");
  setText(find("confirm-title"), title);
  setText(find("confirm-text"), text);
  setText(find("confirm-yes"), yes);
  return new Promise((resolve) => {
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}

/** Asks for user name and password until the server accepts them. */
export function loggedIn() {
  const dialog = find("login");
  waiting ??= new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const send = async (submitting) => {
      submitting.preventDefault();
      const { name, password } = form.elements;
      try {
        await login(name.value, password.value);
        form.removeEventListener("submit", send);
        form.reset();
        waiting = null;
        dialog.close();
        resolve();
      } catch (error) {
        const isWrong = error.status === 401 || error.status === 403;
        const text = isWrong ? "Wrong user name or password." : error.message;
        setText(form.querySelector(".problem"), text);
      }
    };
    form.addEventListener("submit", send);
    // Without a login the page has nothing to show, so the dialog cannot be cancelled.
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return waiting;
}

let waiting = null;

/** Asks for a session's title and labels, and gives `save` what has changed. */
export function described({ title, labels }, save) {
  const dialog = find("description");
  const form = dialog.querySelector("form");
  const { title: name, labels: lines } = form.elements;
  const problem = form.querySelector(".problem");
  name.value = title ?? "";
  lines.value = Object.entries(labels).map(([key, value]) => `${key}=${value}\n`).join("");
  setText(problem, "");
  form.onsubmit = async (submitting) => {
    if (submitting.submitter?.value === "no") return;
    submitting.preventDefault();
    try {
      const change = { title: name.value.trim() || null, labels: changed(labels, parsed(lines.value)) };
      await save(change);
      dialog.close();
    } catch (error) {
      setText(problem, error.message);
    }
  };
  dialog.showModal();
}

/** The labels of lines `key=value`. */
function parsed(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const labels = lines.map((line) => {
    const at = line.indexOf("=");
    if (at <= 0) throw new Error(`A label is written key=value: ${line}`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  });
  return Object.fromEntries(labels);
}

/** What is new, and null for each label that is gone. */
function changed(before, after) {
  const gone = Object.keys(before).filter((key) => !(key in after));
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...after };
}

/** Shows the list of keys: `[[keys, what], …]`. */
export function showKeys(keys) {
  const list = find("keys").querySelector("dl");
  const rows = keys.map(([names, what]) => {
    const caps = names.map((name) => make("kbd", { textContent: name }));
    return make("div", {}, make("dt", {}, ...caps), make("dd", { textContent: what }));
  });
  list.replaceChildren(...rows);
  find("keys").showModal();
}
