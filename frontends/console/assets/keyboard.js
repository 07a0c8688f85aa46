// What keys do, wherever the focus is; single letters only while nothing is typed into.

import { showKeys } from "./dialogs.js";

const LISTED = [
  [["Enter"], "run the statement; Shift-Enter begins a new line"],
  [["↑", "↓"], "statements that ran before"],
  [["Ctrl-C"], "interrupt, while nothing is selected"],
  [["Ctrl-D"], "end the input of the running job"],
  [["Esc"], "from the statement to the output, and back"],
  [["/"], "to the statement"],
  [["f"], "filter the sessions"],
  [["n"], "new session"],
  [["[", "]"], "session above, below"],
  [["Space"], "replay, or stop it"],
  [["←", "→"], "job before, next job"],
  [["l"], "back to now"],
  [["j"], "show or hide the jobs"],
  [["z"], "fold or unfold all jobs"],
  [["s"], "copy a link to what is shown"],
  [["t"], "light or dark"],
  [["?"], "these keys"],
];

/**
 * Listens for keys. `acts` names what they do: `{interrupt, focus, create, …}`.
 * Gives back what shows the list of keys.
 */
export function listen(acts) {
  const help = () => showKeys(LISTED);
  const letters = {
    "/": acts.focus,
    "f": acts.filter,
    "n": acts.create,
    "[": () => acts.beside(-1),
    "]": () => acts.beside(1),
    " ": acts.play,
    "ArrowLeft": () => acts.step(-1),
    "ArrowRight": () => acts.step(1),
    "l": acts.live,
    "j": acts.jobs,
    "z": acts.foldAll,
    "s": acts.share,
    "t": acts.theme,
    "?": help,
  };
  document.addEventListener("keydown", (key) => {
    if (key.defaultPrevented || document.querySelector("dialog[open]")) return;
    const isTyping = key.target.closest("input:not([type=checkbox], [type=radio]), textarea, select") !== null;
    if (key.key === "c" && key.ctrlKey && !key.shiftKey && !isSelected(key.target)) {
      if (acts.interrupt()) key.preventDefault();
      return;
    }
    if (key.ctrlKey || key.metaKey || key.altKey) return;
    if (key.key === "Escape") return acts.leave(isTyping);
    if (isTyping) return;
    // A button is pressed with Space.
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
