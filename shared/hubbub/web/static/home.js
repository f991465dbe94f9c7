/** The home page: makes servers and renames them. The rest is declared in the page (act.js), or plain links. */

import { attempt } from "./act.js";
import { send } from "./api.js";
import "./copying.js";

const renaming = document.getElementById("rename");

/** What a server called "Deep learning 2!" has in its address: deep-learning-2. */
function slug(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const words = plain.replace(/[^a-z0-9]+/g, "-").replace(/^[-0-9]+/, "");
  return words.slice(0, 30).replace(/-+$/, "");
}

document.addEventListener("input", ({ target }) => {
  const form = target.closest("#add");
  if (form) {
    const name = slug(form.elements.title.value);
    document.getElementById("add-address").textContent = name ? `It will live at ${form.dataset.url}${name}/` : "";
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("#add");
  if (!form) {
    return;
  }
  event.preventDefault();
  form.dataset.problem = "add-problem";
  const title = form.elements.title.value.trim().replace(/\s+/g, " ");
  attempt(form, async () => {
    const name = slug(title);
    if (!name) {
      throw new Error("A name needs at least one letter from a to z.");
    }
    await send("PUT", `${form.dataset.path}${name}`, { display_name: title });
    location.assign(`${form.dataset.spawn}${name}`);
  });
});

document.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-rename]");
  if (button) {
    const form = renaming.querySelector("form");
    form.dataset.path = button.dataset.rename;
    form.elements.display_name.value = button.dataset.title;
    document.getElementById("rename-problem").textContent = "";
    renaming.showModal();
    form.elements.display_name.select();
  }
});
