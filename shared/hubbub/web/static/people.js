/**
 * What the admin room's pages of people, groups and services need besides what they declare (act.js). Dialogs: a button
 * `data-opens="id"` opens one, filled with its `data-user` and `data-admin`; `data-closes` closes the one it is in.
 * Forms: `data-renames` is the address below which what was renamed has its page, `data-then` the last words of a page.
 */

import { send } from "./api.js";

// Dialogs ----------------------------------------------------------------------------------

document.addEventListener("click", ({ target }) => {
  const opener = target.closest("button[data-opens]");
  if (opener) {
    fill(document.getElementById(opener.dataset.opens), opener.dataset).showModal();
  }
  target.closest("button[data-closes]")?.closest("dialog").close();
});

function fill(opened, { user, admin }) {
  opened.querySelectorAll(".error").forEach((problem) => (problem.textContent = ""));
  if (user !== undefined) {
    const { elements } = opened.querySelector("form");
    opened.querySelector("[data-what]").textContent = user;
    elements.user.value = user;
    elements.name.value = user;
    if (elements.admin) {
      elements.admin.checked = admin === "1";
    }
  }
  return opened;
}

/** Who has another name has another page. What is the end of a page says so, in place of the form that asked for it. */
document.addEventListener("done", (event) => {
  const { renames, then } = event.target.dataset;
  if (renames) {
    event.preventDefault();
    event.detail.answer.json().then(({ name }) => location.assign(renames + encodeURIComponent(name)));
  }
  if (then) {
    event.preventDefault();
    const said = document.createElement("p");
    said.textContent = then;
    event.target.replaceChildren(said);
  }
});

/** Properties of a group: any JSON object, which is the whole body. */
document.getElementById("properties")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { currentTarget: form, submitter } = event;
  const field = form.elements.properties;
  const [problem, saved] = ["problem", "saved"].map((name) => document.getElementById(`json-${name}`));
  problem.textContent = saved.textContent = "";
  submitter.disabled = true;
  try {
    const properties = JSON.parse(field.value || "{}");
    if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
      throw new Error("This is not a JSON object: it has to begin with { and end with }.");
    }
    await send("PUT", form.dataset.path, properties);
    saved.textContent = "Saved.";
    field.removeAttribute("aria-invalid");
  } catch (error) {
    problem.textContent = error instanceof SyntaxError ? `This is not JSON: ${error.message}` : error.message;
    field.setAttribute("aria-invalid", "true");
    field.focus();
  } finally {
    submitter.disabled = false;
  }
});
