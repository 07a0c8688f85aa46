// Light or dark: the system's choice, until the user makes another.

/** Turns light into dark and dark into light, and remembers it. */
export function turnTheme() {
  const root = document.documentElement;
  const isDark = getComputedStyle(root).colorScheme === "dark" || (!root.dataset.theme && DARK.matches);
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("rejoin-theme", root.dataset.theme);
  } catch {
    // It holds until the page is left.
  }
  for (const listener of listeners) listener();
}

/** Calls when colours have changed, for what is drawn by hand. */
export function onTheme(listener) {
  listeners.add(listener);
}

const DARK = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
DARK.addEventListener("change", () => listeners.forEach((listener) => listener()));

// Other windows, and the frame of a terminal, turn with this one.
window.addEventListener("storage", ({ key, newValue }) => {
  if (key !== "rejoin-theme" || !["dark", "light"].includes(newValue)) return;
  document.documentElement.dataset.theme = newValue;
  listeners.forEach((listener) => listener());
});
