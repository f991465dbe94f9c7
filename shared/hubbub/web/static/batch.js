/**
 * The table of people acts for many: who is chosen (kept over pages, orders and looks), and what is then asked of the
 * API for each, a few at a time, with what failed and why, until all is done or somebody calls it off.
 */

import { send } from "./api.js";
import { refresh } from "./live.js";

const table = document.getElementById("people");
const dialog = document.getElementById("batch");
const chosen = new Set();
const encoded = encodeURIComponent;

// Who is chosen ----------------------------------------------------------------------------

const boxes = () => [...table.querySelectorAll("input[name=pick]")];

function show() {
  const all = boxes();
  for (const box of all) {
    box.checked = chosen.has(box.value);
    box.closest("tr").setAttribute("aria-selected", box.checked);
  }
  const here = all.filter((box) => box.checked).length;
  const page = document.getElementById("pick-page");
  if (page) {
    page.checked = here > 0 && here === all.length;
    page.indeterminate = here > 0 && here < all.length;
    const elsewhere = chosen.size - here;
    document.getElementById("picked").textContent = chosen.size
      ? `${count(chosen.size)} chosen${elsewhere ? `, ${elsewhere.toLocaleString("en")} of them not on this page` : ""}`
      : "Nobody chosen";
  }
  table.querySelectorAll("[data-batch]").forEach((button) => (button.disabled = chosen.size === 0));
}

function choose(names, wanted) {
  names.forEach((name) => (wanted ? chosen.add(name) : chosen.delete(name)));
  show();
}

const count = (number) => (number === 1 ? "1 person" : `${number.toLocaleString("en")} people`);

table.addEventListener("change", ({ target }) => {
  if (target.name === "pick") {
    choose([target.value], target.checked);
  } else if (target.id === "pick-page") {
    choose(boxes().map((box) => box.value), target.checked);
  }
});

table.addEventListener("renewed", show);

/** All who match (*query*: of `GET /people`), with the names of their active servers. */
async function everybody(query) {
  const answer = await send("GET", `people?${new URLSearchParams(query)}`);
  return (await answer.json()).people;
}

const matching = () => ({ search: table.dataset.search, state: table.dataset.state });

async function chooseAll(button) {
  button.disabled = true;
  try {
    const found = await everybody(matching());
    choose(found.map(({ name }) => name), true);
  } catch (error) {
    document.getElementById("problem").textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

// What is done for each --------------------------------------------------------------------

/** `title`, `words` and `go` ask first; `each` does it for one. It resolves to false if there was nothing to do. */
const BATCHES = {
  start: {
    title: (many) => `Start the default servers of ${many}?`,
    words: "Those that run already stay as they are.",
    go: "Start",
    done: "started, or on their way",
    async each({ name, active }) {
      if (active?.includes("")) {
        return false;
      }
      try {
        await send("POST", `users/${encoded(name)}/server`);
      } catch (error) {
        if (!/ is already running$/.test(error.message)) {
          throw error;
        }
      }
      return true;
    },
  },
  stop: {
    title: (many) => `Stop all servers of ${many}?`,
    words: "What is not saved there is lost.",
    go: "Stop",
    done: "stopped, or on their way",
    async each({ name, active }) {
      const running = active ?? (await activeOf(name));
      for (const server of running) {
        const path = server ? `servers/${encoded(server)}` : "server";
        await send("DELETE", `users/${encoded(name)}/${path}`);
      }
      return running.length > 0;
    },
  },
  delete: {
    title: (many) => `Delete ${many}?`,
    words:
      "Their servers are stopped and removed. Their tokens, logins, shares and memberships end, and the hub forgets what is personal. This cannot be undone.",
    go: "Delete",
    done: "deleted",
    async each({ name }) {
      await send("DELETE", `users/${encoded(name)}`);
      choose([name], false);
      return true;
    },
  },
};

async function activeOf(name) {
  const { servers } = await (await send("GET", `users/${encoded(name)}`)).json();
  return Object.values(servers ?? {}).filter(({ stopped }) => !stopped).map((server) => server.name);
}

const part = (name) => document.getElementById(`batch-${name}`);
let run; // { people, next, done, failed, called } while a batch is under way

function ask(kind, people) {
  const { title, words, go } = BATCHES[kind];
  const names = people.slice(0, 5).map(({ name }) => name).join(", ");
  const rest = people.length - 5;
  part("title").textContent = title(count(people.length));
  part("words").textContent = `${names}${rest > 0 ? ` and ${rest.toLocaleString("en")} more` : ""}. ${words}`;
  part("now").textContent = "";
  part("progress").hidden = part("failed").hidden = true;
  part("failed").querySelector("ul").replaceChildren();
  part("go").textContent = go;
  part("go").hidden = false;
  part("go").classList.toggle("danger", kind !== "start");
  part("go").onclick = () => carryOut(BATCHES[kind], people);
  part("stop").textContent = "Cancel";
  dialog.showModal();
  part("stop").focus();
}

async function carryOut(batch, people) {
  run = { people, next: 0, done: 0, nothing: 0, failed: 0, called: false };
  part("go").hidden = true;
  part("progress").hidden = false;
  part("progress").max = people.length;
  tell();
  const atOnce = Number(dialog.dataset.atOnce);
  await Promise.all(Array.from({ length: atOnce }, () => work(batch, run)));
  const { done, nothing, failed, called } = run;
  run = undefined;
  const left = people.length - done - nothing - failed;
  const said = [`${done} ${batch.done}`];
  if (nothing) said.push(`${nothing} had nothing to do`);
  if (failed) said.push(`${failed} failed`);
  if (called && left) said.push(`${left} left as they were`);
  part("now").textContent = `${said.join(", ")}.`;
  part("stop").textContent = "Close";
  refresh();
}

async function work(batch, mine) {
  while (!mine.called && mine.next < mine.people.length) {
    const person = mine.people[mine.next++];
    try {
      if (await batch.each(person)) {
        mine.done++;
      } else {
        mine.nothing++;
      }
    } catch (error) {
      mine.failed++;
      lament(person.name, error.message, mine.failed);
    }
    tell();
  }
}

function tell() {
  const over = run.done + run.nothing + run.failed;
  part("progress").value = over;
  part("now").textContent = `${over} of ${run.people.length}${run.failed ? `, ${run.failed} failed` : ""}`;
}

function lament(name, why, number) {
  const item = document.createElement("li");
  item.textContent = `${name}: ${why}`;
  part("failed").querySelector("ul").append(item);
  part("failed").querySelector("summary").textContent = `${number} failed`;
  part("failed").hidden = false;
}

part("stop").addEventListener("click", () => {
  if (run) {
    run.called = true;
    part("now").textContent = "What is under way is finished first.";
  } else {
    dialog.close();
  }
});

// While something is under way the dialog stays, and the page is not left by mistake.
dialog.addEventListener("cancel", (event) => run && event.preventDefault());
window.addEventListener("beforeunload", (event) => run && event.preventDefault());

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("button");
  if (button?.id === "pick-all") {
    chooseAll(button);
  } else if (button?.dataset.batch) {
    ask(button.dataset.batch, [...chosen].map((name) => ({ name })));
  } else if (button?.dataset.all) {
    await askAll(button);
  }
});

/** Everybody who matches what is searched for; of a stop only those who have anything to stop. */
async function askAll(button) {
  const kind = button.dataset.all;
  button.disabled = true;
  try {
    const found = await everybody(matching());
    const concerned = found.filter(({ active }) => (kind === "stop" ? active.length > 0 : !active.includes("")));
    if (concerned.length) {
      ask(kind, concerned);
    } else {
      document.getElementById("problem").textContent =
        kind === "stop" ? "No server runs here." : "All of these servers run.";
    }
  } catch (error) {
    document.getElementById("problem").textContent = error.message;
  } finally {
    button.disabled = false;
  }
}

show();
