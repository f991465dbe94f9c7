/** Draws the server-hours of each day or hour, which stand in the page. */

import uPlot from "./uplot.js";

const steps = document.getElementById("steps");
const place = document.getElementById("drawing");
const dark = matchMedia("(prefers-color-scheme: dark)");
let chart;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const time = (seconds) =>
  steps.dataset.step === "day"
    ? new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "short", timeZone: "UTC" })
    : new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

function draw() {
  const data = JSON.parse(steps.dataset.picture);
  const thin = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--soft"), grid: thin, ticks: thin };
  chart?.destroy();
  chart = new uPlot(
    {
      width: place.clientWidth,
      height: 240,
      series: [
        { label: "UTC", value: (_, value) => (value === null ? "–" : time(value)) },
        {
          label: "Hours",
          stroke: colour("--line-1"),
          fill: colour("--line-1"),
          paths: uPlot.paths.bars({ size: [0.7, 60] }),
          points: { show: false },
          value: (_, value) => (value === null ? "–" : value.toFixed(2)),
        },
      ],
      axes: [
        { ...axis, space: 70, values: (_, values) => values.map(time) },
        { ...axis, size: 60 },
      ],
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    },
    data,
    place,
  );
  const whole = data[1].reduce((one, other) => one + other, 0);
  place.setAttribute("aria-label", `${document.getElementById("picture-title").textContent}: ${whole.toFixed(1)} in all`);
}

steps.addEventListener("renewed", draw);
dark.addEventListener("change", draw);
new ResizeObserver(() => chart?.setSize({ width: place.clientWidth, height: 240 })).observe(place);
draw();
