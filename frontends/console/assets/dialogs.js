// Questions that must be answered first: whether to really do it, and who asks.

import { login } from "./api.js";
import { find, make, setText } from "./dom.js";

/** Whether the user wants it. */
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

/** Asks for name and password until the server accepts them. */
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
        const text = isWrong ? "That name and password are not known here." : error.message;
        setText(form.querySelector(".problem"), text);
      }
    };
    form.addEventListener("submit", send);
    // There is nothing to see behind it.
    dialog.addEventListener("cancel", (it) => it.preventDefault());
    dialog.showModal();
  });
  return waiting;
}

let waiting = null;

/** Shows what the keys do: `[[keys, what], …]`. */
export function showKeys(keys) {
  const list = find("keys").querySelector("dl");
  const told = keys.map(([names, what]) => {
    const caps = names.map((name) => make("kbd", { textContent: name }));
    return make("div", {}, make("dt", {}, ...caps), make("dd", { textContent: what }));
  });
  list.replaceChildren(...told);
  find("keys").showModal();
}
