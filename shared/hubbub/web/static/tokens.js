/** The tokens page: makes one of what the form says, and shows it once. Revoking is declared in the page (act.js). */

import { attempt } from "./act.js";
import { send } from "./api.js";
import "./copying.js";
import { refresh } from "./live.js";

const form = document.getElementById("new");
const made = document.getElementById("made");
const secret = document.getElementById("secret");

function scopes(said) {
  const { value, dataset } = form.querySelector("[name=may]:checked");
  if (value === "inherit") {
    return undefined;
  }
  const chosen = value === "servers" ? dataset.scopes.split(" ") : said.getAll("scopes");
  if (!chosen.length) {
    throw new Error("Choose at least one thing that it may do.");
  }
  return chosen;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(form, async () => {
    const said = new FormData(form);
    const body = { note: said.get("note").trim() || "Made on the tokens page", scopes: scopes(said) };
    if (said.get("life")) {
      body.expires_in = Number(said.get("life"));
    }
    const answer = await (await send("POST", form.dataset.path, body)).json();
    secret.value = answer.token;
    document.getElementById("copied").textContent = "";
    made.showModal();
    secret.select();
    form.reset();
    await refresh();
  });
});

made.addEventListener("close", () => (secret.value = ""));
