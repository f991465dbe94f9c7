/** The progress page: shows what the server that starts has to say, and lets its owner call it off. */

import { addressWithToken, send } from "./api.js";

const page = document.getElementById("pending");
const bar = document.getElementById("bar");
const now = document.getElementById("now");
const log = document.getElementById("log");
const cancel = document.getElementById("cancel");
const problem = document.getElementById("problem");

const { path, home } = page.dataset;
const frames = new EventSource(addressWithToken(`${path}/progress`));

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
    // The page itself knows where to go from here: to the server, or to the reason why there is none.
    location.reload();
  }
});

frames.addEventListener("error", () => {
  // A lost connection is opened again by the browser; a refused one is not, and the page has to look itself.
  if (frames.readyState === EventSource.CLOSED) {
    setTimeout(() => location.reload(), 2000);
  }
});

function say(frame) {
  write(now, frame);
  const line = document.createElement("li");
  write(line, frame);
  log.append(line);
  log.scrollTop = log.scrollHeight;
}

/** Words only: the page of a failure shows a spawner's HTML, and until then nothing is worth a link. */
function write(element, { message, html_message: html }) {
  element.textContent = message || new DOMParser().parseFromString(html, "text/html").body.textContent;
}

cancel.addEventListener("click", async () => {
  cancel.disabled = true;
  frames.close();
  now.textContent = "Cancelling…";
  try {
    await send("DELETE", path);
    location.assign(home);
  } catch (error) {
    problem.textContent = error.message;
    setTimeout(() => location.reload(), 4000);
  }
});
