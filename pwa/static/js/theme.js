// Before anything is drawn: the light that was chosen on this phone.
try {
  const theme = localStorage.getItem("cl-theme");
  if (theme) document.documentElement.dataset["theme"] = theme;
} catch {
  // A browser that forbids storage shows the page as the phone has it.
}
