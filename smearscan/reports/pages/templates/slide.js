"use strict";
// One slide: cells as dots on the map, a gallery that keys walk through, and a window with all that is known of a cell.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const OTHER = 0, BLAST = 1, EXCLUDED = 2;
  const COLOURS = { [OTHER]: "#0072B2", [BLAST]: "#D55E00", [EXCLUDED]: "#888888" };
  const byId = (id) => document.getElementById(id);
  const tiles = [...document.querySelectorAll(".tile")];
  const tileOf = new Map(data.gallery.map((cell, n) => [cell, n]));
  const layers = { [OTHER]: true, [BLAST]: true, [EXCLUDED]: true };

  const idOf = (cell) => data.ids[cell] || `x${String(data.x[cell]).padStart(6, "0")}y${String(data.y[cell]).padStart(6, "0")}`;
  const length = (px) => (data.mpp === null ? `${px.toLocaleString("en")} px` : `${Math.round(px * data.mpp).toLocaleString("en")} µm`);
  // No certainty that comes of rounding.
  const thousandths = (value) => (value > 999 ? "> 0.999" : value < 1 ? "< 0.001" : (value / 1000).toFixed(3));

  // The map.
  const smear = byId("smear"), canvas = byId("dots"), tip = byId("tip");
  const drawing = canvas.getContext("2d");
  let pointed = -1; // the cell that the map points at

  function place(cell) {
    return [(data.x[cell] / data.width) * canvas.clientWidth, (data.y[cell] / data.height) * canvas.clientHeight];
  }

  function radius() {
    // Small enough for a full slide, large enough for an empty one.
    return Math.max(1.6, Math.min(4.5, canvas.clientWidth / 9 / Math.sqrt(data.x.length + 1)));
  }

  function draw() {
    const dense = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * dense;
    canvas.height = canvas.clientHeight * dense;
    drawing.setTransform(dense, 0, 0, dense, 0, 0);
    const r = radius();
    for (const mark of [EXCLUDED, OTHER, BLAST]) { // blasts on top
      if (!layers[mark]) continue;
      drawing.beginPath();
      for (let cell = 0; cell < data.x.length; cell++) {
        if (data.mark[cell] !== mark) continue;
        const [x, y] = place(cell);
        if (mark === EXCLUDED) cross(x, y, r);
        else disc(x, y, mark === BLAST ? r * 1.35 : r);
      }
      paint(mark);
    }
    if (pointed >= 0) moveRing();
  }

  function disc(x, y, r) {
    drawing.moveTo(x + r, y);
    drawing.arc(x, y, r, 0, 2 * Math.PI);
  }

  function cross(x, y, r) { // told from the others without colour
    drawing.moveTo(x - r, y - r);
    drawing.lineTo(x + r, y + r);
    drawing.moveTo(x + r, y - r);
    drawing.lineTo(x - r, y + r);
  }

  function paint(mark) {
    drawing.lineWidth = mark === EXCLUDED ? 1.5 : 1;
    drawing.strokeStyle = mark === EXCLUDED ? COLOURS[mark] : "#ffffff";
    drawing.fillStyle = COLOURS[mark];
    if (mark !== EXCLUDED) drawing.fill();
    drawing.stroke();
  }

  function moveRing() {
    const [x, y] = place(pointed);
    byId("ring").style.left = `${x}px`;
    byId("ring").style.top = `${y}px`;
  }

  function nearest(x, y, reach, wanted = () => true) {
    let best = -1, least = reach * reach;
    for (let cell = 0; cell < data.x.length; cell++) {
      if (!layers[data.mark[cell]] || !wanted(cell)) continue;
      const [cx, cy] = place(cell);
      // Of two that cover each other, the one drawn on top.
      const distance = (cx - x) ** 2 + (cy - y) ** 2 - (data.mark[cell] === BLAST ? 1 : 0);
      if (distance < least) [best, least] = [cell, distance];
    }
    return best;
  }

  function pointAt(cell) {
    if (cell === pointed) return;
    pointed = cell;
    byId("ring").hidden = tip.hidden = cell < 0;
    if (cell < 0) return;
    moveRing();
    const [x, y] = place(cell);
    tip.textContent = `${idOf(cell)}: ${calledAs(cell)}, score ${thousandths(data.score[cell])}`;
    tip.style.left = `${Math.min(x, canvas.clientWidth - tip.offsetWidth - 4)}px`;
    tip.style.top = `${y + 14 + tip.offsetHeight > canvas.clientHeight ? y - tip.offsetHeight - 12 : y + 12}px`;
  }

  function calledAs(cell) {
    return data.classes[data.called[cell]].name + (data.mark[cell] === EXCLUDED ? ", excluded" : "");
  }

  // The next cell in the direction of an arrow: near, and not far off the line.
  function towards(dx, dy) {
    if (pointed < 0) return nearest(canvas.clientWidth / 2, canvas.clientHeight / 2, 1e6);
    const [x, y] = place(pointed);
    let best = pointed, least = Infinity;
    for (let cell = 0; cell < data.x.length; cell++) {
      if (cell === pointed || !layers[data.mark[cell]]) continue;
      const [cx, cy] = place(cell);
      const along = (cx - x) * dx + (cy - y) * dy, across = Math.abs((cx - x) * dy) + Math.abs((cy - y) * dx);
      if (along > 0 && across <= along && along + across < least) [best, least] = [cell, along + across];
    }
    return best;
  }

  const onMap = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  smear.addEventListener("mousemove", (event) => pointAt(nearest(...onMap(event), 12)));
  smear.addEventListener("mouseleave", () => pointAt(-1));
  smear.addEventListener("click", (event) => {
    const cell = nearest(...onMap(event), 16);
    if (cell >= 0) jump(cell);
  });
  smear.addEventListener("keydown", (event) => {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in arrows && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      pointAt(towards(...arrows[event.key]));
    } else if (event.key === "Enter" && pointed >= 0) open(pointed);
    else return;
    event.stopPropagation();
  });
  document.querySelectorAll("[data-layer]").forEach((box) =>
    box.addEventListener("change", () => {
      if (box.dataset.layer === "areas") byId("areas").hidden = !box.checked;
      else layers[box.dataset.layer] = box.checked;
      draw();
    }),
  );
  byId("wide").addEventListener("click", (event) => {
    const wide = document.body.classList.toggle("wide");
    event.currentTarget.setAttribute("aria-pressed", wide);
  });
  new ResizeObserver(draw).observe(smear);

  // The gallery: one stop of the Tab key, arrows and j, k inside.
  function setStop(tile) {
    tiles.forEach((each) => (each.tabIndex = -1));
    tile.tabIndex = 0;
  }

  function focusTile(n) {
    const tile = tiles[Math.min(Math.max(n, 0), tiles.length - 1)];
    if (!tile) return;
    setStop(tile);
    tile.focus();
    tile.scrollIntoView({ block: "nearest" });
  }

  function jump(cell) { // from the map: to its place in the gallery, or where it has none to what is known of it
    if (!tileOf.has(cell)) return open(cell);
    focusTile(tileOf.get(cell));
    tiles[tileOf.get(cell)].scrollIntoView({ block: "center" });
  }

  function columns(tile) {
    const list = [...tile.closest("ol").children];
    const top = list[0].offsetTop;
    return Math.max(1, list.findIndex((each) => each.offsetTop !== top) < 0 ? list.length : list.findIndex((each) => each.offsetTop !== top));
  }

  function setHeat(on) {
    document.body.classList.toggle("heated", on);
    byId("heat")?.setAttribute("aria-pressed", on);
  }

  tiles.forEach((tile, n) => {
    tile.addEventListener("click", () => open(data.gallery[n]));
    tile.addEventListener("focus", () => setStop(tile));
    tile.addEventListener("mouseenter", () => pointAt(data.gallery[n]));
    tile.addEventListener("mouseleave", () => pointAt(-1));
  });
  if (tiles.length) setStop(tiles[0]);
  byId("heat")?.addEventListener("click", () => setHeat(!document.body.classList.contains("heated")));

  // The window of one cell.
  const detail = byId("detail");
  let opened = -1;

  function element(name, text, attributes = {}) {
    const made = document.createElement(name);
    made.textContent = text;
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  }

  function fact(name, ...values) {
    const row = element("tr", "");
    row.append(element("th", name, { scope: "row" }), element("td", ""));
    row.lastChild.append(...values);
    return row;
  }

  function open(cell) {
    opened = cell;
    const n = tileOf.has(cell) ? tileOf.get(cell) : -1;
    byId("detail-title").textContent = `Cell ${idOf(cell)}`;
    byId("detail-pictures").replaceChildren(...pictures(cell, n));
    byId("detail-facts").tBodies[0].replaceChildren(...facts(cell, n));
    byId("detail-where").replaceChildren(...where(cell));
    byId("detail-jump").hidden = n < 0;
    byId("detail-jump").href = `#cell-${idOf(cell)}`;
    byId("previous").disabled = n <= 0;
    byId("next").disabled = n < 0 || n === tiles.length - 1;
    if (!detail.open) detail.showModal();
  }

  function pictures(cell, n) {
    if (n >= 0 && data.overlays[n]) {
      return [element("img", "", { src: data.overlays[n], alt: `Crop, heat map and surroundings of cell ${idOf(cell)}`, class: "overlay" })];
    }
    if (n >= 0 && data.crops[n]) {
      return [element("img", "", { src: `overlays/crop-${idOf(cell)}.png`, alt: `Crop of cell ${idOf(cell)}` })];
    }
    return [element("p", "There is no picture of this cell. Its place and scores are as counted.", { class: "blank" })];
  }

  function facts(cell, n) {
    const row = (data.rows.length ? data.rows[cell] : cell) + 2; // the first line has the columns' names
    const link = element("a", "cells.csv", { href: "cells.csv" });
    const rows = [
      fact("Called", calledAs(cell)),
      fact("Score", `${thousandths(data.score[cell])} for blast among the classes that count, threshold ${data.threshold}`),
      fact("Place", `${length(data.x[cell])} from the left, ${length(data.y[cell])} from the top`),
      fact("Pixel", `${data.x[cell]}, ${data.y[cell]}`),
      fact("Size", length(data.size[cell])),
      fact("Row", `line ${row} of `, link),
    ];
    if (n >= 0) {
      if (data.in_cell[n]) rows.push(fact("Heat map", `${data.in_cell[n]} of it lies in the cell`));
      data.classes.forEach((each, index) => rows.push(fact(`P(${each.name})`, meter(data.scores[n][index], each.role), ` ${thousandths(data.scores[n][index])}`)));
    }
    return rows;
  }

  function meter(value, role) {
    const frame = element("span", "", { class: "meter", "aria-hidden": "true" });
    frame.append(element("i", "", { class: role }));
    frame.firstChild.style.width = `${value / 10}%`;
    return frame;
  }

  function where(cell) {
    const spot = element("i", "");
    spot.style.left = `${(100 * data.x[cell]) / data.width}%`;
    spot.style.top = `${(100 * data.y[cell]) / data.height}%`;
    const frame = element("div", "", { role: "img", "aria-label": "Where the cell lies on the slide" });
    frame.style.aspectRatio = `${data.width} / ${data.height}`;
    frame.append(...(data.map ? [element("img", "", { src: data.map, alt: "" })] : []), spot);
    return [frame];
  }

  function step(by) {
    const n = tileOf.has(opened) ? tileOf.get(opened) + by : -1;
    if (n < 0 || n >= tiles.length) return;
    open(data.gallery[n]);
  }

  detail.addEventListener("close", () => {
    if (tileOf.has(opened)) focusTile(tileOf.get(opened));
    else smear.focus();
  });
  detail.addEventListener("click", (event) => event.target === detail && detail.close());
  byId("detail-jump").addEventListener("click", (event) => {
    event.preventDefault();
    detail.close();
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const steps = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 };
    const here = tiles.indexOf(document.activeElement);
    if (detail.open) {
      if (event.key in steps) step(steps[event.key]);
    } else if (event.key === "h") setHeat(!document.body.classList.contains("heated"));
    else if (event.key === "j" || event.key === "k") focusTile(here < 0 ? 0 : here + steps[event.key]);
    else if (here >= 0 && event.key in steps) focusTile(here + steps[event.key]);
    else if (here >= 0 && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      focusTile(here + (event.key === "ArrowDown" ? 1 : -1) * columns(tiles[here]));
    }
  });

  // A link to a cell, as from another page: to its place in the gallery, or where it has none to what is known of it.
  function follow() {
    const wanted = decodeURIComponent(location.hash.slice(1));
    const cell = data.x.findIndex((_, each) => `cell-${idOf(each)}` === wanted);
    if (cell < 0) return;
    if (tileOf.has(cell)) focusTile(tileOf.get(cell));
    else open(cell);
  }
  window.addEventListener("hashchange", follow);
  window.addEventListener("load", () => requestAnimationFrame(follow)); // after the browser's own jump, which takes the focus away
})();
