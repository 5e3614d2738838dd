"use strict";
// Filters the table of slides by what was compared, and by text.
(() => {
  const find = document.getElementById("find"), show = document.getElementById("show"), shown = document.getElementById("shown");
  const rows = [...document.querySelectorAll(".slide-table tbody tr")];
  function filter() {
    const text = find.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const wanted = row.textContent.toLowerCase().includes(text) && (!show.value || row.dataset.is.split(" ").includes(show.value));
      row.hidden = !wanted;
      count += wanted;
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length} slides`;
  }
  for (const each of [find, show]) each.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== find) {
      event.preventDefault();
      find.focus();
    }
  });
})();
