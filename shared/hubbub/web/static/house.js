/** Shows how a banner will look while it is written. */

const form = document.getElementById("banner");
const preview = document.getElementById("preview");

function show() {
  const fields = form.elements;
  preview.textContent = fields["banner.text"].value || "…";
  preview.className = `banner preview ${fields["banner.kind"].value}`;
}

form.addEventListener("input", show);
form.addEventListener("reset", () => setTimeout(show));
show();
