"use strict";
// The table of slides: sorted, filtered and walked through in place.
(() => {
  const table = document.getElementById("slides");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const find = document.getElementById("find");
  const show = document.getElementById("show");
  const shown = document.getElementById("shown");
  const order = new Intl.Collator("en", { numeric: true });
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  function compare(a, b, column, isNumber, sign) {
    const [left, right] = [a.cells[column].dataset.v, b.cells[column].dataset.v];
    if (left === "" || right === "") return (left === "") - (right === ""); // what is missing stays last
    return sign * (isNumber ? left - right : order.compare(left, right));
  }

  function sort(head) {
    const column = heads.indexOf(head);
    // Numbers are asked for from the top, names and verdicts from their beginning.
    const before = head.getAttribute("aria-sort");
    const first = head.dataset.kind === "number" && column !== heads.length - 2 ? "descending" : "ascending";
    const next = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
    heads.forEach((each) => each.hasAttribute("aria-sort") && each.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    // From the first order every time: equal rows stay worst first.
    const sorted = [...rows].sort((a, b) => compare(a, b, column, head.dataset.kind === "number", sign));
    body.append(...sorted);
  }

  function matches(row) {
    const [kind, value] = show.value.split(":");
    if (kind === "flags" && !row.cells[row.cells.length - 1].dataset.v) return false;
    if (value && row.dataset[kind] !== value) return false;
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    return words.every((word) => texts.get(row).includes(word));
  }

  function filter() {
    let count = 0;
    for (const row of rows) {
      row.hidden = !matches(row);
      count += !row.hidden;
    }
    shown.textContent = count === rows.length ? `${count} shown` : `${count} of ${rows.length} shown`;
    document.getElementById("nothing").hidden = count > 0;
  }

  function point(row) {
    row.hidden = false;
    document.querySelectorAll("tr.pointed").forEach((each) => each.classList.remove("pointed"));
    row.classList.add("pointed");
    row.scrollIntoView({ block: "center" });
    (row.querySelector("th a") || row).focus({ preventScroll: true });
  }

  function walk(step) {
    const visible = [...body.rows].filter((row) => !row.hidden && row.querySelector("th a"));
    const here = visible.findIndex((row) => row.contains(document.activeElement));
    const next = visible[here < 0 ? 0 : Math.min(Math.max(here + step, 0), visible.length - 1)];
    if (next) next.querySelector("th a").focus();
  }

  heads.forEach((head) => head.querySelector("button")?.addEventListener("click", () => sort(head)));
  find.addEventListener("input", filter);
  show.addEventListener("change", filter);
  document.querySelectorAll("[data-filter]").forEach((button) =>
    button.addEventListener("click", () => {
      show.value = button.dataset.filter;
      find.value = "";
      filter();
    }),
  );
  document.querySelectorAll(".plot a").forEach((link) =>
    link.addEventListener("click", (event) => {
      event.preventDefault();
      point(document.getElementById(link.hash.slice(1)));
    }),
  );
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const steps = { j: 1, k: -1 };
    if (event.key in steps) walk(steps[event.key]);
    else if (event.key === "/") {
      event.preventDefault();
      find.focus();
    }
  });
  filter(); // a browser that goes back fills the fields in again
})();
