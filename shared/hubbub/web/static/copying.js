/** What is to be copied from a page, and dialogs that a button closes: `data-copy="<id of a field>"`, `data-close`. */

document.addEventListener("click", async ({ target }) => {
  target.closest("button[data-close]")?.closest("dialog")?.close();
  const button = target.closest("button[data-copy]");
  if (!button) {
    return;
  }
  const field = document.getElementById(button.dataset.copy);
  const told = document.getElementById("copied");
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    told.textContent = "Copied.";
  } catch {
    // Browsers let pages copy over https only, or on this machine: the field is selected, and keys do.
    told.textContent = "Press Ctrl+C (on a Mac, Cmd+C) to copy it.";
  }
});
