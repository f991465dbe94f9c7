/** The progress page: what the spawner says of the start, what the server prints, how long it takes; and its end. */

import { addressWithToken, send } from "./api.js";
import "./live.js";

const byId = (id) => document.getElementById(id);
const { path, home } = byId("pending").dataset;
const bar = byId("bar");
const now = byId("now");
const log = byId("log");
const prints = byId("prints");
const frames = new EventSource(addressWithToken(`${path}/progress`));
let lines;
let shownAt = performance.now();
let over = false;

/** The page itself knows where to go from here: to the server, or to the reason why there is none. */
function lookAgain() {
  if (!over) {
    over = true;
    location.reload();
  }
}

// The hub tells the whole story again to whoever connects again.
frames.addEventListener("open", () => log.replaceChildren());

frames.addEventListener("message", (event) => {
  const frame = JSON.parse(event.data);
  if (Number.isFinite(frame.progress)) {
    bar.value = Math.max(frame.progress, 2); // a sliver from the start, so that it is seen to be a bar
  }
  if (frame.place) {
    write(now, frame); // of many, the last one alone is worth reading
  } else if (frame.message || frame.html_message) {
    say(frame);
  }
  if (frame.ready || frame.failed) {
    frames.close();
    lookAgain();
  }
});

frames.addEventListener("error", () => {
  // A lost connection is opened again by the browser; a refused one is not, and the page has to look itself.
  if (frames.readyState === EventSource.CLOSED) {
    setTimeout(lookAgain, 2000);
  }
});

function say(frame) {
  write(now, frame);
  const line = document.createElement("li");
  write(line, frame);
  log.append(line);
  log.scrollTop = log.scrollHeight;
  byId("frames").hidden = false;
}

/** Words only: the page of a failure shows a spawner's HTML, and until then nothing is worth a link. */
function write(element, { message, html_message: html }) {
  element.textContent = message || new DOMParser().parseFromString(html, "text/html").body.textContent;
}

// How long the present step has taken ------------------------------------------------------

setInterval(() => {
  const place = document.querySelector("[data-elapsed]");
  if (place) {
    const seconds = Number(place.dataset.elapsed) + (performance.now() - shownAt) / 1000;
    place.textContent = inWords(Math.floor(seconds));
  }
}, 1000);

function inWords(seconds) {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

// What the server prints -------------------------------------------------------------------

function offerLog() {
  if (prints && byId("steps").hasAttribute("data-held")) {
    prints.hidden = false; // before somebody holds it nobody knows of any log
  }
}

function follow() {
  const place = byId("printed-lines");
  place.textContent = "";
  lines = new EventSource(`${addressWithToken(`${path}/log`)}&follow=true&lines=200`);
  lines.addEventListener("message", (event) => {
    const atTheEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 4;
    place.append(`${event.data}\n`);
    if (atTheEnd) {
      place.scrollTop = place.scrollHeight;
    }
  });
  lines.addEventListener("end", () => lines.close());
}

prints?.addEventListener("toggle", () => {
  lines?.close();
  if (prints.open) {
    follow();
  }
});

byId("steps").addEventListener("renewed", () => {
  shownAt = performance.now();
  offerLog();
});
offerLog();

// Calling it off ---------------------------------------------------------------------------

byId("cancel").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  frames.close();
  lines?.close();
  over = true;
  now.textContent = "Cancelling…";
  try {
    await send("DELETE", path);
    location.assign(home);
  } catch (error) {
    byId("problem").textContent = error.message;
    over = false;
    setTimeout(lookAgain, 4000);
  }
});

window.addEventListener("pagehide", () => lines?.close());
