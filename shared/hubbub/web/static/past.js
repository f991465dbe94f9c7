/**
 * The slider of the past says at once which event it stands on; the page follows when it is let go of, or rests. Keys
 * move it by one event, Page up and Page down by a tenth of the log.
 */

document.addEventListener("input", ({ target }) => {
  if (target.id === "slider") {
    const label = document.querySelector("label[for=slider]");
    label.textContent = `As of event ${target.value} of ${target.max} …`;
  }
});

/** The other field shows where one is, unless somebody is about to say where to go. */
document.addEventListener("renewed", ({ target }) => {
  const field = document.querySelector("#clock input[name=time]");
  const shown = target.querySelector("label[for=slider] time");
  if (shown && field !== document.activeElement) {
    field.value = shown.dateTime.slice(0, 19);
  }
});
