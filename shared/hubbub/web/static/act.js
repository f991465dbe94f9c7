/**
 * Buttons and forms that ask the API for something, declared in the page:
 *
 *   <button data-send="DELETE" data-path="users/ada/server" data-body='{"remove": true}' data-confirm="dialog's id">
 *   <form data-send="POST" data-path="groups/{name}">: `{field}` in the path is a field, the others are the JSON body;
 *       data-kind on a field: number, boolean, json, lines (an array), null (empty means null), moment (of a
 *       datetime-local, empty means null), path (only in the path); `banner.text` is the field `text` of `banner`
 *
 * `data-done` says where to go then (an address); without it, the page is looked at again. What went wrong stands in the
 * element with the id in `data-problem`, else in `#problem`. A dialog of `data-confirm` is shown first; it must have a
 * button with the value "yes", and `[data-label]` of the button stands in its `[data-what]`.
 */

import { send } from "./api.js";
import { refresh } from "./live.js";

const ASKED = new WeakMap();

/** Show *problem* for *element*; "" takes it away. */
export function complain(element, problem) {
  const place = document.getElementById(element.dataset.problem ?? "problem");
  if (place) {
    place.textContent = problem;
    if (problem) {
      place.scrollIntoView({ block: "nearest" });
    }
  }
}

/** Do something with the buttons of *element* out of reach meanwhile, and show what went wrong. Whether it went well. */
export async function attempt(element, act) {
  const buttons = element.matches("button") ? [element] : [...element.querySelectorAll("button")];
  complain(element, "");
  buttons.forEach((button) => (button.disabled = true));
  try {
    await act();
    return true;
  } catch (error) {
    complain(element, error.message);
    return false;
  } finally {
    buttons.forEach((button) => (button.disabled = false));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-send]");
  if (!button) {
    return;
  }
  event.preventDefault();
  const dialog = document.getElementById(button.dataset.confirm ?? "");
  if (dialog) {
    ask(dialog, button);
  } else {
    carryOut(button, button.dataset.path, button.dataset.body);
  }
});

function ask(dialog, button) {
  for (const place of dialog.querySelectorAll("[data-what]")) {
    place.textContent = button.dataset.label ?? "";
  }
  dialog.returnValue = "";
  ASKED.set(dialog, button);
  dialog.showModal();
}

document.addEventListener(
  "close",
  ({ target }) => {
    const button = ASKED.get(target);
    ASKED.delete(target);
    if (button && target.returnValue === "yes") {
      carryOut(button, button.dataset.path, button.dataset.body);
    }
  },
  true,
);

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-send]");
  if (!form) {
    return;
  }
  event.preventDefault();
  let asked;
  try {
    asked = read(form);
  } catch (error) {
    complain(form, error.message);
    return;
  }
  carryOut(form, asked.path, asked.body, event.submitter);
});

async function carryOut(element, path, body, submitter) {
  const went = await attempt(element, async () => {
    // The hub answers when it is done; that it has begun is to be seen before.
    const soon = setTimeout(refresh, 500);
    const asked = typeof body === "string" ? JSON.parse(body) : body;
    const answer = await send(element.dataset.send, path, asked).finally(() => clearTimeout(soon));
    const told = new CustomEvent("done", { bubbles: true, cancelable: true, detail: { answer, submitter } });
    if (!element.dispatchEvent(told)) {
      return; // whoever listened goes on by themselves
    }
    if (element.dataset.done) {
      location.assign(element.dataset.done);
      return;
    }
    await refresh();
  });
  if (went && element.matches("form")) {
    element.reset();
    element.closest("dialog")?.close();
  }
}

function read(form) {
  let path = form.dataset.path;
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.disabled || (field.type === "radio" && !field.checked) || field.name === "_xsrf") {
      continue;
    }
    if (path.includes(`{${field.name}}`)) {
      path = path.replaceAll(`{${field.name}}`, encodeURIComponent(field.value.trim()));
    } else if (field.dataset.kind !== "path") {
      const value = valueOf(field);
      if (value !== undefined) {
        put(body, field.name.split("."), value);
      }
    }
  }
  return { path, body: form.dataset.send === "GET" ? undefined : body };
}

function put(body, [name, ...inner], value) {
  if (inner.length) {
    put((body[name] ??= {}), inner, value);
  } else {
    body[name] = value;
  }
}

function valueOf(field) {
  if (field.type === "checkbox") {
    return field.checked;
  }
  const text = field.value;
  switch (field.dataset.kind) {
    case "number":
      return text === "" ? undefined : Number(text);
    case "boolean":
      return text === "true";
    case "lines":
      return text.split(/[\n,]+/).map((line) => line.trim()).filter(Boolean);
    case "null":
      return text === "" ? null : text;
    case "moment":
      return text === "" ? null : new Date(text).toISOString();
    case "json":
      try {
        return JSON.parse(text || "null");
      } catch (error) {
        throw new Error(`${field.labels?.[0]?.textContent.trim() ?? field.name}: ${error.message}`);
      }
    default:
      return text;
  }
}
