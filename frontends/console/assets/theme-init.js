// Sets the saved theme before the first paint. Not a module, because modules run too late for that.

try {
  const theme = localStorage.getItem("rejoin-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage, the system's theme is used.
}
