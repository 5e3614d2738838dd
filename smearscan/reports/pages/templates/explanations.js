"use strict";
// A gallery of cells that is sifted and put in order in place, and a window with each cell's sheet.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const gallery = byId("gallery"), dialog = byId("cell");
  const items = [...gallery.children]; // as given
  let shown = items, opened = -1, view = 0;

  const number = (item) => Number(item.dataset.n);
  const value = (id) => byId(id)?.value ?? "";

  function passes(n) {
    const low = value("low") === "" ? 0 : Number(value("low")), high = value("high") === "" ? 1 : Number(value("high"));
    return data.texts[n].includes(value("find").trim().toLowerCase())
      && (!value("called") || data.called[n] === value("called"))
      && (!value("explained") || data.explained[n] === value("explained"))
      && (!value("wrong") || String(data.wrong[n]) === value("wrong"))
      && data.blast[n] >= low && data.blast[n] <= high;
  }

  const inside = (n) => { // a map without any share comes last
    const share = data.inside[n]?.[view];
    return share === null || share === undefined ? 2 : share;
  };
  const orders = {
    given: (a, b) => a - b,
    falling: (a, b) => data.blast[b] - data.blast[a] || a - b,
    rising: (a, b) => data.blast[a] - data.blast[b] || a - b,
    inside: (a, b) => inside(a) - inside(b) || a - b,
  };

  function sift() {
    const sorted = [...items].sort((a, b) => orders[value("order")](number(a), number(b)));
    for (const item of sorted) item.hidden = !passes(number(item));
    if (sorted.some((item, place) => item !== gallery.children[place])) gallery.append(...sorted);
    shown = sorted.filter((item) => !item.hidden);
    byId("shown").textContent = `${shown.length} of ${items.length} shown`;
    byId("nothing").hidden = shown.length > 0;
  }

  function setHeat(on) {
    document.body.classList.toggle("heated", on);
    byId("heat").setAttribute("aria-pressed", on);
  }

  function setView(chosen) {
    view = chosen;
    if (byId("view")) byId("view").value = String(view);
    for (const item of items) item.querySelector(".heat").src = data.overlays[number(item)][view];
    byId("unsigned").hidden = Boolean(data.signed[view]);
    byId("signed").hidden = !data.signed[view];
    if (value("order") === "inside") sift();
  }

  function picture(source, text) {
    const made = document.createElement("img");
    made.src = source;
    made.alt = text;
    return made;
  }

  function open(item) {
    const n = number(item);
    opened = shown.indexOf(item);
    byId("cell-title").textContent = data.names[n];
    byId("sheet").replaceChildren(
      picture(data.sheets[n], `Crop, maps and scores of ${data.names[n]}`),
      ...data.activations[n].map((source) => picture(source, `Activations of a layer for ${data.names[n]}`)),
    );
    byId("previous").disabled = opened <= 0;
    byId("next").disabled = opened >= shown.length - 1;
    if (!dialog.open) dialog.showModal();
  }

  const step = (by) => shown[opened + by] && open(shown[opened + by]);
  const focus = (place) => shown[Math.max(0, Math.min(shown.length - 1, place))]?.querySelector(".tile").focus();

  function columns() {
    const top = shown[0]?.offsetTop;
    const first = shown.findIndex((item) => item.offsetTop !== top);
    return first < 0 ? shown.length : first;
  }

  for (const item of items) item.querySelector(".tile").addEventListener("click", () => open(item));
  for (const id of ["find", "called", "explained", "wrong", "low", "high", "order"]) byId(id)?.addEventListener("input", sift);
  byId("view")?.addEventListener("input", () => setView(Number(value("view"))));
  byId("heat").addEventListener("click", () => setHeat(!document.body.classList.contains("heated")));
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => focus(opened));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const steps = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 };
    const here = shown.findIndex((item) => item.contains(document.activeElement));
    if (dialog.open) {
      if (event.key in steps) step(steps[event.key]);
    } else if (event.key === "h") setHeat(!document.body.classList.contains("heated"));
    else if (event.key === "v" && data.signed.length > 1) setView((view + 1) % data.signed.length);
    else if (event.key === "/") {
      event.preventDefault();
      byId("find").focus();
    } else if (event.key === "j" || event.key === "k") focus(here < 0 ? 0 : here + steps[event.key]);
    else if (here >= 0 && event.key in steps) focus(here + steps[event.key]);
    else if (here >= 0 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      focus(here + (event.key === "ArrowDown" ? 1 : -1) * columns());
    }
  });

  setHeat(true);
  sift();
})();
