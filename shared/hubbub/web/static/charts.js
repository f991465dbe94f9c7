/** Draws the pictures of the overview from `/hub/api/figures`, and writes the same as a table and as a sentence. */

import { send } from "./api.js";
import uPlot from "./uplot.js";

const LEAST = 5; // seconds between two looks, at least; and at most
const MOST = 60;

const range = document.getElementById("range");
const pictures = [...document.querySelectorAll("[data-picture]")];
const dark = matchMedia("(prefers-color-scheme: dark)");
let figures;
let timer;

const perMinute = (counts, step) => counts.map((count) => (count === null ? null : (count * 60) / step));
const capital = (name) => name[0].toUpperCase() + name.slice(1);
const named = (lists) => Object.entries(lists).map(([name, values]) => ({ name: capital(name), values }));

/**
 * What each picture shows: lines with a name and a value for each step. `counts`: how many in a step, drawn by the
 * minute; `total`: the same, drawn as it is.
 */
const SHOWN = {
  servers: ({ servers: { running, starting, stopping } }) => ({ lines: named({ running, starting, stopping }) }),
  starts: ({ starts: { ready, failed, cancelled } }) => ({
    counts: true,
    lines: named({ ready, failed, "called off": cancelled }),
  }),
  seconds: ({ start_seconds }) => ({
    unit: " s",
    lines: [
      { name: "Half of them within", values: start_seconds.p50 },
      { name: "95 of 100 within", values: start_seconds.p95 },
    ],
  }),
  failures: ({ failures }) => ({ total: true, lines: named(failures) }),
  logins: ({ logins }) => ({ counts: true, lines: named({ "logged in": logins.ok, failed: logins.failed }) }),
};

const COLOURS = {
  servers: [1, 2, 7],
  starts: [1, 4, 7],
  seconds: [1, 3],
  failures: [4, 2, 3, 5, 6, 8, 1, 7],
  logins: [1, 4],
};
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 4], [8, 8], [4, 2], [12, 4]];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plain = (value, unit = "") => (value === null || value === undefined ? "–" : `${Math.round(value * 100) / 100}${unit}`);
const day = (seconds) => new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "short" });
const hour = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
const clock = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "short" });

async function look() {
  clearTimeout(timer);
  const { back, step } = range.dataset;
  const query = new URLSearchParams({ from: new Date(Date.now() - back * 1000).toISOString(), step });
  try {
    const answer = await (await send("GET", `figures?${query}`)).json();
    if (range.dataset.back !== back) {
      return; // another range was chosen meanwhile
    }
    figures = answer;
    pictures.forEach(show);
  } catch (error) {
    pictures.forEach((picture) => (picture.querySelector(".sum").textContent = error.message));
  }
  const pause = Math.min(MOST, Math.max(LEAST, step / 30));
  timer = setTimeout(() => document.visibilityState === "visible" && look(), 1000 * pause);
}

function show(picture) {
  const about = SHOWN[picture.dataset.picture](figures);
  const first = Date.parse(figures.from) / 1000;
  const count = figures.starts.asked.length;
  const times = Array.from({ length: count }, (_, number) => first + number * figures.step);
  draw(picture, times, about);
  const text = sum(about, times);
  picture.querySelector(".sum").textContent = text;
  picture.querySelector(".drawing").setAttribute("aria-label", `${picture.querySelector("h3").textContent}. ${text}`);
  if (picture.querySelector("details").open) {
    write(picture, times, about);
  }
}

/** In a sentence, for those who do not see the picture, and for all. */
function sum({ lines, counts, total, unit }, times) {
  const known = lines.filter(({ values }) => values.some(Boolean));
  if (!known.length) {
    return "None in this time.";
  }
  const each = known.map(({ name, values }) => {
    const there = values.filter((value) => value !== null);
    if (counts || total) {
      return `${name}: ${there.reduce((one, other) => one + other, 0)}`;
    }
    const most = values.indexOf(Math.max(...there));
    return `${name}: ${plain(there.at(-1), unit)} at last, ${plain(values[most], unit)} at most (${clock(times[most])})`;
  });
  return `${each.join("; ")}.`;
}

function draw(picture, times, { lines, counts, unit = "" }) {
  const whole = !counts && !unit;
  const place = picture.querySelector(".drawing");
  const drawn = lines.map(({ values }) => (counts ? perMinute(values, figures.step) : values));
  const names = lines.map(({ name }) => name).join("\n");
  const data = [times, ...drawn];
  if (place.chart && place.names === names && place.dark === dark.matches) {
    place.chart.setData(data);
    return;
  }
  place.chart?.destroy();
  place.names = names;
  place.dark = dark.matches;
  place.chart = lines.length ? made(picture, place, data, lines, unit, whole) : undefined;
}

function made(picture, place, data, lines, unit, whole) {
  const colours = COLOURS[picture.dataset.picture];
  const thin = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--soft"), grid: thin, ticks: thin };
  const unitAxis = { ...axis, size: 52, values: (_, values) => values.map((value) => `${value}${unit}`) };
  if (whole) {
    unitAxis.incrs = WHOLE;
  }
  const series = lines.map(({ name }, number) => ({
    label: name,
    stroke: colour(`--line-${colours[number % colours.length]}`),
    dash: DASHES[number % DASHES.length],
    width: 2,
    points: { show: lonely(data[number + 1]), size: 5 },
    value: (chart, value, line, place) => plain(at(chart, line, place), unit),
  }));
  const times = { ...axis, space: 70, values: (_, values) => values.map(range.dataset.back > 90000 ? day : hour) };
  return new uPlot(
    {
      width: place.clientWidth,
      height: 200,
      series: [{ label: "Time", value: (chart, value, line, place) => clock(at(chart, line, place)) }, ...series],
      axes: [times, unitAxis],
      scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      cursor: { points: { size: 7 } },
    },
    data,
    place,
  );
}

/** What the cursor points at; without one, the last. */
function at(chart, line, place) {
  return chart.data[line][place ?? chart.data[line].length - 1];
}

/** Whether values stand alone, so that no line would show them. */
function lonely(values) {
  const there = (number) => (values[number] ?? null) !== null;
  return values.some((_, number) => there(number) && !there(number - 1) && !there(number + 1));
}

function write(picture, times, { lines, unit }) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of ["Time", ...lines.map(({ name }) => name)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  times.map((time, number) => {
    const row = body.insertRow(0);
    row.insertCell().textContent = clock(time);
    lines.forEach(({ values }) => (row.insertCell().textContent = plain(values[number], unit)));
  });
  picture.querySelector(".scroll").replaceChildren(table);
}

range.addEventListener("renewed", look);
dark.addEventListener("change", () => figures && pictures.forEach(show));
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
for (const picture of pictures) {
  picture.querySelector("details").addEventListener("toggle", () => figures && show(picture));
}
new ResizeObserver(() =>
  pictures.forEach((picture) => {
    const place = picture.querySelector(".drawing");
    place.chart?.setSize({ width: place.clientWidth, height: 200 });
  }),
).observe(document.querySelector(".pictures"));
look();
