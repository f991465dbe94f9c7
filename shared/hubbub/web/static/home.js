/** The home page: stop and delete servers, and make new ones. Starting and opening are plain links. */

import { send } from "./api.js";
import { refresh } from "./live.js";

const problem = document.getElementById("problem");
const dialog = document.getElementById("delete");
const form = document.getElementById("add");

/** Do something with the button out of reach meanwhile, and show what went wrong. */
async function attempt(button, place, act) {
  place.textContent = "";
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    place.textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) {
    return;
  }
  const { action, path, label } = button.dataset;
  if (action === "stop") {
    attempt(button, problem, async () => {
      // The hub answers when it has stopped; that it is stopping is to be seen before.
      const soon = setTimeout(refresh, 500);
      await send("DELETE", path).finally(() => clearTimeout(soon));
      await refresh();
    });
  }
  if (action === "delete") {
    document.getElementById("delete-name").textContent = label;
    dialog.dataset.path = path;
    dialog.returnValue = "";
    dialog.showModal();
  }
});

dialog?.addEventListener("close", () => {
  if (dialog.returnValue !== "delete") {
    return;
  }
  attempt(dialog.querySelector("button"), problem, async () => {
    await send("DELETE", dialog.dataset.path, { remove: true });
    await refresh();
  });
});

/** What a server called "Deep learning 2!" has in its address: deep-learning-2. */
function slug(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const words = plain.replace(/[^a-z0-9]+/g, "-").replace(/^[-0-9]+/, "");
  return words.slice(0, 30).replace(/-+$/, "");
}

form?.addEventListener("input", () => {
  const name = slug(form.elements.title.value);
  document.getElementById("add-address").textContent = name ? `It will live at ${form.dataset.url}${name}/` : "";
});

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const place = document.getElementById("add-problem");
  const title = form.elements.title.value.trim().replace(/\s+/g, " ");
  const name = slug(title);
  if (!name) {
    place.textContent = "A name needs at least one letter from a to z.";
    return;
  }
  attempt(form.querySelector("button"), place, async () => {
    await send("PUT", `${form.dataset.path}${name}`, { display_name: title });
    location.assign(`${form.dataset.spawn}${name}`);
  });
});
