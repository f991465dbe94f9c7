/** The sharing page: shows a link that was made, once. All else is declared in the page (act.js). */

import "./act.js";
import "./copying.js";
import { refresh } from "./live.js";

const made = document.getElementById("made");
const link = document.getElementById("link");

document.getElementById("new-link")?.addEventListener("done", async (event) => {
  event.preventDefault();
  const code = await event.detail.answer.json();
  link.value = code.full_accept_url ?? new URL(code.accept_url, location.href).href;
  document.getElementById("copied").textContent = "";
  made.showModal();
  link.select();
  await refresh();
});

made.addEventListener("close", () => (link.value = ""));
