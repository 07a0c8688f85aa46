// Modal dialogs: confirmation, login, and the list of keys.

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
