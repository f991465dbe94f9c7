/** Shows the end of what a server printed, to its owner who wants to know why it did not start. */

import { send } from "./api.js";

const printed = document.getElementById("printed");

printed?.addEventListener(
  "toggle",
  async () => {
    const place = printed.querySelector("pre");
    try {
      const answer = await send("GET", `${printed.dataset.path}/log`);
      place.textContent = (await answer.text()).trim() || "Nothing.";
      place.scrollTop = place.scrollHeight;
    } catch (error) {
      place.textContent = error.message;
    }
  },
  { once: true },
);
