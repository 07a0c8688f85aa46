// Keyboard shortcuts. Single letters work only while the focus is not in a text field.

import { showKeys } from "./dialogs.js";
import { mayRun } from "./role.js";

/** Keys, what they do, and whether that is only for those who may run commands. */
const LISTED = [
  [["Enter"], "run the command; Shift-Enter starts a new line", true],
  [["↑", "↓"], "earlier commands", true],
  [["Ctrl-C"], "interrupt, unless text is selected", true],
  [["Ctrl-D"], "close the input of a running job without a terminal", true],
  [["Esc"], "switch between the command line and the output", true],
  [["/"], "go to the command line", true],
  [["f"], "filter the sessions"],
  [["Ctrl-F"], "search all of the output; again for the browser's own search"],
  [["Enter", "Shift-Enter"], "in the search: the next line found, the one before"],
  [["e"], "title and labels of the session", true],
  [["N"], "new session with a shell", true],
  [["n"], "new session for single commands", true],
  [["[", "]"], "previous, next session"],
  [["Space"], "play or pause the replay"],
  [["←", "→"], "previous, next job"],
  [["l"], "back to live"],
  [["j"], "show or hide the jobs"],
  [["z"], "fold or unfold all jobs"],
  [["s"], "copy a link to this moment"],
  [["t"], "light or dark"],
  [["?", "F1"], "show these keys; F1 also on the command line"],
];

/**
 * Listens for keys and calls `actions`: `{interrupt, focus, create, …}`.
 * Returns a function that shows the list of keys.
 */
export function listen(actions) {
  const help = () => showKeys(LISTED.filter(([, , runs]) => !runs || mayRun()));
  const running = {
    "/": actions.focus,
    "e": actions.describe,
    "N": actions.createShell,
    "n": actions.create,
  };
  const letters = {
    "f": actions.filter,
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
    if (key.key === "F1") {
      key.preventDefault();
      return help();
    }
    if (key.key === "Escape") return actions.leave(isTyping);
    if (isTyping) return;
    // Space presses the focused button.
    if (key.key === " " && key.target.closest("button, a, label, input")) return;
    const act = letters[key.key] ?? (mayRun() ? running[key.key] : null);
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
