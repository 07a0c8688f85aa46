// Keyboard shortcuts. Single letters work only while the focus is not in a text field.

import { showKeys } from "./dialogs.js";

const LISTED = [
  [["Enter"], "run the command; Shift-Enter starts a new line"],
  [["↑", "↓"], "earlier commands"],
  [["Ctrl-C"], "interrupt, unless text is selected"],
  [["Ctrl-D"], "close the input of a running job without a terminal"],
  [["Esc"], "switch between the command line and the output"],
  [["/"], "go to the command line"],
  [["f"], "filter the sessions"],
  [["Ctrl-F"], "search all of the output; again for the browser's own search"],
  [["Enter", "Shift-Enter"], "in the search: the next line found, the one before"],
  [["e"], "title and labels of the session"],
  [["N"], "new session with a shell"],
  [["n"], "new session for single commands"],
  [["[", "]"], "previous, next session"],
  [["Space"], "play or pause the replay"],
  [["←", "→"], "previous, next job"],
  [["l"], "back to live"],
  [["j"], "show or hide the jobs"],
  [["z"], "fold or unfold all jobs"],
  [["s"], "copy a link to this moment"],
  [["t"], "light or dark"],
  [["?"], "show these keys"],
];

/**
 * Listens for keys and calls `actions`: `{interrupt, focus, create, …}`.
 * Returns a function that shows the list of keys.
 */
export function listen(actions) {
  const help = () => showKeys(LISTED);
  const letters = {
    "/": actions.focus,
    "f": actions.filter,
    "e": actions.describe,
    "N": actions.createShell,
    "n": actions.create,
    "[": () => actions.beside(-1),
    "]": () => actions.beside(1),
    " ": actions.play,
    "ArrowLeft": () => actions.step(-1),
    "ArrowRight": () => actions.step(1),
    "l": actions.live,
    "j": actions.jobs,
    "z": actions.foldAll,
    "s": actions.share,
    "t": actions.theme,
    "?": help,
  };
  document.addEventListener("keydown", (key) => {
    if (key.defaultPrevented || document.querySelector("dialog[open]")) return;
    const isTyping = key.target.closest("input:not([type=checkbox], [type=radio]), textarea, select") !== null;
    if (key.key === "c" && key.ctrlKey && !key.shiftKey && !isSelected(key.target)) {
      if (actions.interrupt()) key.preventDefault();
      return;
    }
    if (key.key === "f" && (key.ctrlKey || key.metaKey) && !key.shiftKey && !key.altKey) {
      if (actions.search()) key.preventDefault();
      return;
    }
    if (key.ctrlKey || key.metaKey || key.altKey) return;
    if (key.key === "Escape") return actions.leave(isTyping);
    if (isTyping) return;
    // Space presses the focused button.
    if (key.key === " " && key.target.closest("button, a, label, input")) return;
    const act = letters[key.key];
    if (!act) return;
    key.preventDefault();
    act();
  });
  return help;
}

function isSelected(target) {
  const { selectionStart, selectionEnd } = target;
  if (typeof selectionStart === "number" && selectionStart !== selectionEnd) return true;
  return getSelection().toString() !== "";
}
