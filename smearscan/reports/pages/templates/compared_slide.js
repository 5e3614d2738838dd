"use strict";
// One compared slide: its cells on the map, told by shape which report has them and by colour what they are called.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const BOTH = 0, ONLY_A = 1, ONLY_B = 2, OTHERWISE = 2;
  const COLOURS = ["#0072B2", "#D55E00"];
  const byId = (id) => document.getElementById(id);
  const smear = byId("smear"), canvas = byId("dots"), ring = byId("ring");
  const drawing = canvas.getContext("2d");
  const shown = [true, true, true];

  function draw() {
    const dense = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * dense;
    canvas.height = height * dense;
    drawing.setTransform(dense, 0, 0, dense, 0, 0);
    const r = Math.max(2.2, Math.min(5.5, width / 7 / Math.sqrt(data.x.length + 1)));
    drawing.lineWidth = 1;
    drawing.strokeStyle = "#ffffff";
    for (const where of [BOTH, ONLY_A, ONLY_B]) { // what only one has lies on top
      if (!shown[where]) continue;
      for (let cell = 0; cell < data.x.length; cell++) {
        if (data.where[cell] !== where) continue;
        mark((data.x[cell] / data.width) * width, (data.y[cell] / data.height) * height, where === BOTH ? r * 0.8 : r * 1.25, where, data.call[cell]);
      }
    }
  }

  function mark(x, y, r, where, call) {
    if (call === OTHERWISE) { // half a blast, half not
      for (const half of [0, 1]) {
        drawing.beginPath();
        drawing.arc(x, y, r * 1.3, Math.PI * (half - 0.5), Math.PI * (half + 0.5));
        drawing.closePath();
        drawing.fillStyle = COLOURS[half];
        drawing.fill();
      }
      drawing.beginPath();
      drawing.arc(x, y, r * 1.3, 0, 2 * Math.PI);
      drawing.stroke();
      return;
    }
    drawing.beginPath();
    if (where === BOTH) drawing.arc(x, y, r, 0, 2 * Math.PI);
    else {
      const up = where === ONLY_A ? -1 : 1;
      drawing.moveTo(x, y + up * r);
      drawing.lineTo(x - r, y - up * r);
      drawing.lineTo(x + r, y - up * r);
      drawing.closePath();
    }
    drawing.fillStyle = COLOURS[call];
    drawing.fill();
    drawing.stroke();
  }

  function setHeat(on) {
    document.body.classList.toggle("heated", on);
    byId("heat").setAttribute("aria-pressed", on);
  }
  const isHeated = () => document.body.classList.contains("heated");

  byId("heat").addEventListener("click", () => setHeat(!isHeated()));
  document.addEventListener("keydown", (event) => {
    if (event.key === "h" && !event.ctrlKey && !event.metaKey && !event.altKey) setHeat(!isHeated());
  });
  document.querySelectorAll("[data-layer]").forEach((box) =>
    box.addEventListener("change", () => {
      shown[box.dataset.layer] = box.checked;
      draw();
    }),
  );
  document.querySelectorAll(".find").forEach((button) =>
    button.addEventListener("click", () => {
      const { x, y } = button.closest("li").dataset;
      ring.style.left = `${(100 * x) / data.width}%`;
      ring.style.top = `${(100 * y) / data.height}%`;
      ring.hidden = false;
      smear.scrollIntoView({ block: "center" });
    }),
  );
  new ResizeObserver(draw).observe(smear);
})();
