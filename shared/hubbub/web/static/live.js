/**
 * Keeps a page true without reloading it. The parts of a page marked `data-live` (each with an id) are replaced by what
 * the same address says now: whenever an event is told that `<main data-follow="user=ada">` names (a query of
 * `/hub/api/events`), after something was done on the page, and when somebody comes back to an old tab. `data-clock`
 * besides says after how many seconds to look for what no event tells. What has the focus, is open or half typed stays so.
 */

import { addressWithToken } from "./api.js";
import { Idiomorph } from "./idiomorph.js";

const SETTLE = 120; // ms that several events in a row are waited for, to be one look
const GAP = 1000; // ms between looks, however many events there are
const ANEW = 10_000; // ms after which a stream that was refused is asked for again
const EVERY = 2000; // ms between looks at what is on its way, where no event can be heard
let timer;
let due = false; // an event has asked for the look that is to come
let looked = -GAP;
let looking;
let again = false;
let stream;
let head = document.body.dataset.head; // how far the log was known when what is shown was made

/** Look again now; or fetch *url* for the same page with another query. Resolves when it is shown. */
export function refresh(url = location.href) {
  clearTimeout(timer);
  due = false;
  if (looking) {
    again = true;
    return looking;
  }
  looking = look(url).finally(() => {
    looking = undefined;
    if (again) {
      again = false;
      return refresh();
    }
    return watch();
  });
  return looking;
}

async function look(url) {
  looked = performance.now();
  try {
    // A redirect means that this page is over (logged out, or the server is there): follow it as a page.
    const answer = await fetch(url, { redirect: "manual", cache: "no-store", headers: { Accept: "text/html" } });
    if (answer.type === "opaqueredirect") {
      location.reload();
      return;
    }
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // Not reachable for the moment: what is shown stays, and the next look may be luckier.
  }
}

function replace(page) {
  head = page.body.dataset.head ?? head;
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = page.getElementById(part.id);
    if (!newer || newer.outerHTML === part.outerHTML) {
      continue;
    }
    announce(part, newer);
    Idiomorph.morph(part, newer, { ignoreActiveValue: true, callbacks: { beforeAttributeUpdated: keepsOpen } });
    part.dispatchEvent(new CustomEvent("renewed", { bubbles: true }));
  }
}

/** What somebody has unfolded stays open. */
function keepsOpen(name, node) {
  return !(name === "open" && (node.tagName === "DETAILS" || node.tagName === "DIALOG"));
}

/** Tell those who listen instead of looking which servers changed. */
function announce(before, after) {
  const states = (part) =>
    new Map([...part.querySelectorAll("[data-name]")].map((each) => [each.dataset.name, each.dataset.state]));
  const old = states(before);
  const news = [...states(after)].filter(([name, state]) => old.has(name) && old.get(name) !== state);
  const listener = document.getElementById("news");
  if (listener && news.length) {
    listener.textContent = news.map(([name, state]) => `${name}: ${state}`).join(". ");
  }
}

/** Looks by the clock only at what is on its way while nobody tells; in `data-unheard`, of whom no event is told to us. */
function watch() {
  if (due) {
    return;
  }
  clearTimeout(timer);
  const heard = stream && stream.readyState === EventSource.OPEN;
  if (document.querySelector(`${heard ? "[data-unheard]" : "[data-live]"} [data-pending]`)) {
    timer = setTimeout(refresh, EVERY);
    return;
  }
  const clock = document.querySelector("[data-clock]")?.dataset.clock;
  if (clock && document.visibilityState === "visible") {
    timer = setTimeout(refresh, 1000 * clock);
  }
}

/** What is due is not put off by what comes after it. */
function soon() {
  if (!due) {
    due = true;
    clearTimeout(timer);
    timer = setTimeout(refresh, Math.max(SETTLE, looked + GAP - performance.now()));
  }
}

function follow() {
  const wanted = document.querySelector("[data-follow]")?.dataset.follow;
  if (wanted === undefined || stream || document.visibilityState !== "visible") {
    return;
  }
  // From where the page was made: nothing falls between the two.
  const after = head ? `&after=${head}` : "";
  stream = new EventSource(`${addressWithToken("events")}&${wanted}${after}`);
  // Every event has a type of its own; `message` is what a stream of ours calls each besides.
  stream.addEventListener("message", soon);
  stream.addEventListener("error", () => {
    if (stream?.readyState === EventSource.CLOSED) {
      stream = undefined;
      setTimeout(() => {
        follow();
        refresh();
      }, ANEW);
    }
    watch();
  });
}

function unfollow() {
  stream?.close();
  stream = undefined;
}

follow();
watch();
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") {
    if (document.querySelector("[data-live]")) {
      refresh();
    }
    follow();
  } else {
    unfollow();
  }
});
window.addEventListener("pagehide", unfollow);
