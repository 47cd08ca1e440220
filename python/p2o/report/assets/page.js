"use strict";
// Draws the charts, again whenever the theme changes or, under `p2o watch`, the run has gone on.

const MARKS = ["circle", "rect", "triangle", "rectRot", "crossRot", "star"];
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [12, 4]];
let drawn = [];

// A custom property holds light-dark(...) as it is written; an element's own color is resolved.
function resolved(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const figure = (value) =>
  Math.abs(value) >= 0.001 || value === 0
    ? value.toLocaleString("en", { maximumSignificantDigits: 4 })
    : Number(value.toPrecision(3)).toExponential();
// Of a logarithmic axis only the powers of ten are named: others stand too close.
const power = (value) => (Math.abs(Math.log10(value) % 1) < 1e-9 ? figure(value) : null);

function datasets(chart) {
  return chart.lines.flatMap((line) => {
    const index = line.place;
    const stroke = resolved(`--line-${(index % 6) + 1}`);
    const shown = {
      label: line.label,
      data: line.points.map(([x, y], at) => ({ x, y, band: line.band[at] })),
      borderColor: stroke,
      backgroundColor: stroke,
      borderWidth: 2,
      borderDash: DASHES[Math.floor(index / 6) % DASHES.length],
      pointStyle: MARKS[index % MARKS.length],
      pointRadius: line.points.length > 15 ? 0 : 4,
      clip: 5,
      pointHoverRadius: 6,
    };
    const ends = (end, fill) => ({
      label: "",
      data: line.points.map(([x], at) => ({ x, y: line.band[at][end] })),
      borderWidth: 0,
      pointRadius: 0,
      pointHoverRadius: 0,
      backgroundColor: stroke.replace(/^rgb\((.*)\)$/, "rgba($1, 0.18)"),
      fill,
    });
    return line.band.length ? [shown, ends(0, false), ends(1, "-1")] : [shown];
  });
}

function options(chart) {
  const ink = resolved("--ink"), rule = resolved("--rule");
  const axis = (more) => ({ grid: { color: rule }, border: { color: rule }, ...more, ticks: { color: ink, ...more.ticks } });
  const [min, max] = chart.bounds ?? [undefined, undefined];
  return {
    animation: false,
    maintainAspectRatio: false,
    interaction: { mode: "nearest", axis: "x", intersect: false },
    scales: {
      x: axis({
        type: "linear",
        min: 0,
        title: { display: true, text: "tokens generated", color: ink },
        ticks: { maxRotation: 0, callback: (value) => value.toLocaleString("en", { notation: "compact" }) },
      }),
      y: axis({ type: chart.logarithmic ? "logarithmic" : "linear", min, max, ticks: { callback: chart.logarithmic ? power : figure, maxTicksLimit: 7 } }),
    },
    plugins: {
      legend: {
        display: chart.lines.length > 1,
        position: "bottom",
        labels: { color: ink, usePointStyle: true, pointStyleWidth: 14, boxHeight: 8, filter: (item) => item.text !== "" },
      },
      tooltip: {
        filter: (item) => item.dataset.label !== "",
        callbacks: {
          title: (items) => (items.length ? `${items[0].parsed.x.toLocaleString("en")} tokens` : ""),
          label: ({ dataset, raw }) =>
            ` ${dataset.label}  ${figure(raw.y)}${raw.band ? ` [${raw.band.map(figure).join(", ")}]` : ""}`,
        },
      },
    },
  };
}

// The arrow keys move from point to point, as the pointer does.
function keys(canvas, chart) {
  let at = -1;
  canvas.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const points = chart.data.datasets[0].data.length;
    at = Math.min(points - 1, Math.max(0, at + step));
    const active = chart.data.datasets
      .map((set, datasetIndex) => ({ set, datasetIndex, index: at }))
      .filter(({ set }) => set.label !== "" && at < set.data.length);
    chart.setActiveElements(active);
    const { x, y } = chart.getDatasetMeta(0).data[at];
    chart.tooltip.setActiveElements(active, { x, y });
    chart.update();
  };
}

function draw() {
  drawn.forEach((chart) => chart.destroy());
  const values = JSON.parse(document.getElementById("charts").textContent);
  drawn = values.map((chart) => {
    const canvas = document.querySelector(`canvas[data-chart="${chart.id}"]`);
    const made = new Chart(canvas, { type: "line", data: { datasets: datasets(chart) }, options: options(chart) });
    keys(canvas, made);
    return made;
  });
}

// What is open stays open, and the page does not move.
async function follow() {
  let seen = await (await fetch("/stamp")).text();
  setInterval(async () => {
    const stamp = await (await fetch("/stamp")).text();
    if (stamp === seen) return;
    const page = new DOMParser().parseFromString(await (await fetch("/")).text(), "text/html");
    const news = page.querySelector("main");
    if (!news) return; // the run cannot be read just now
    seen = stamp;
    const open = new Map([...document.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
    page.querySelectorAll("details[id]").forEach((each) => (each.open = open.get(each.id) ?? each.open));
    document.querySelector("main").replaceWith(news);
    draw();
  }, 3000);
}

draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if ("live" in document.body.dataset) follow().catch(() => {});
