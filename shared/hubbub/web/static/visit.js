/**
 * Other pages of a table, another order, another search, without leaving the page: a link marked `data-visit`, or the
 * fields of a form marked so, change the address, and the live parts become what it says.
 */

import { refresh } from "./live.js";

const PAUSE = 40; // ms after the last key
let timer;

/** Go to *url*, which is this page with another query. *replace*: the way back leads past what is shown now. */
export async function visit(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  document.body.dataset.visiting = "";
  await refresh();
  delete document.body.dataset.visiting;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-visit]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) {
    return;
  }
  event.preventDefault();
  visit(link.href);
});

function asked(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value !== "") {
      query.append(name, value);
    }
  }
  const text = query.toString();
  return text ? `${location.pathname}?${text}` : location.pathname;
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-visit]");
  if (form) {
    clearTimeout(timer);
    const typing = event.target.matches("input[type=search], input[type=text], input:not([type])");
    timer = setTimeout(() => visit(asked(form), { replace: true }), typing ? PAUSE : 0);
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-visit]");
  if (form) {
    event.preventDefault();
    clearTimeout(timer);
    visit(asked(form));
  }
});

window.addEventListener("popstate", () => refresh());

// Of places that do not all fit on a phone, the one where we are is to be seen.
document.querySelector(".places [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
