/**
 * Keeps what a page says of servers true without reloading it: while anything in a `[data-live]` part is
 * marked `[data-pending]`, the page is fetched again and the part replaced by its newer self.
 */

const EVERY = 2000;
let timer;

/** Look again now. */
export async function refresh() {
  clearTimeout(timer);
  try {
    // A redirect means that this page is over (logged out, or the server is there): follow it as a page.
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") {
      location.reload();
      return;
    }
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // Not reachable for the moment: what is shown stays, and the next look may be luckier.
  }
  watch();
}

function replace(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const newer = page.getElementById(part.id);
    if (!newer || newer.outerHTML === part.outerHTML) {
      continue;
    }
    announce(part, newer);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    part.replaceWith(newer);
    document.getElementById(focused)?.focus();
  }
}

/** Tell those who listen instead of looking which servers changed. */
function announce(before, after) {
  const states = (part) =>
    new Map([...part.querySelectorAll("[data-name]")].map((each) => [each.dataset.name, each.dataset.state]));
  const old = states(before);
  const news = [...states(after)].filter(([name, state]) => old.get(name) !== state);
  const listener = document.getElementById("news");
  if (listener && news.length) {
    listener.textContent = news.map(([name, state]) => `${name}: ${state}`).join(". ");
  }
}

function watch() {
  clearTimeout(timer);
  if (document.querySelector("[data-live] [data-pending]")) {
    timer = setTimeout(refresh, EVERY);
  }
}

watch();
// Somebody who comes back to an old tab sees the present.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && document.querySelector("[data-live]")) {
    refresh();
  }
});
