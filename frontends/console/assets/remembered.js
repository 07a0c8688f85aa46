// The theme that was chosen last, before anything is drawn. The one script that is no module.

try {
  const theme = localStorage.getItem("rejoin-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's theme is as good.
}
