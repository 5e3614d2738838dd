"use strict";
// Heat maps over all cells at once, by the buttons or the key h.
(() => {
  const buttons = [...document.querySelectorAll(".heat-switch")];
  if (!buttons.length) return;
  function setHeat(on) {
    document.body.classList.toggle("heated", on);
    for (const button of buttons) button.setAttribute("aria-pressed", on);
  }
  for (const button of buttons) button.addEventListener("click", () => setHeat(!document.body.classList.contains("heated")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "h" && !event.ctrlKey && !event.metaKey && !event.altKey) setHeat(!document.body.classList.contains("heated"));
  });
})();
