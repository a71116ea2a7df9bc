// Applies the theme that the reader chose, before the page is drawn. Without a choice, the system's theme applies.
(() => {
  try {
    const theme = localStorage.getItem("report-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch { /* storage is off */ }
})();
