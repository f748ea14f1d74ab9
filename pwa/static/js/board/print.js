/** The page of cases on paper: its button opens the browser's own print dialog. */

document.getElementById("print")?.addEventListener("click", () => window.print());
