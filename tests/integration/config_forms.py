"""A hub whose servers have options: TEST_FORM says which kind of form."""

import asyncio
import os
from pathlib import Path

load_subconfig(str(Path(__file__).parent / "config_standin.py"))  # noqa: F821
c = get_config()  # noqa: F821

TEXT = """
<label for="size">Size</label>
<select id="size" name="size"><option value="1">small</option><option value="2">large</option></select>
<label for="notes">Notes</label> <input id="notes" name="notes" type="file">
<label><input name="fast" type="checkbox"> fast</label>
<script>document.getElementById("size").value = "2";</script>
"""

#: As forms written for JupyterHub's page are: jQuery, RequireJS, a handler and a style in attributes.
SCRIPTS = """
<style>.hidden { display: none; }</style>
<label for="size">Size</label>
<select id="size" name="size" style="max-width: 9rem">
  <option value="1">small</option><option value="2">large</option>
</select>
<button type="button" onclick="document.getElementById('size').value = '2'">Larger</button>
<p class="hidden" id="ready">ready</p>
<script>$(document).ready(() => require(["jquery"], (jq) => jq("#ready").removeClass("hidden")));</script>
"""


def called(spawner):
    asked = spawner.handler.get_argument("asked", "nothing")
    return f"<p>{spawner.user.name} asked for {asked}, had {sorted(spawner.user_options)}</p><input name='size'>"


async def awaited(spawner):
    await asyncio.sleep(0.01)
    return called(spawner)


def read(form, spawner):
    options = {"size": int(form["size"][0])}
    if options["size"] > 2:
        raise ValueError(f"{spawner.user.name} may have 2 <at most>")
    if "notes_file" in form:
        options["notes"] = form["notes_file"][0].body
    return options


def note(spawner):
    """What a start knows of who asked for it, for the test to see in the server's environment."""
    handler = spawner.handler
    seen = (
        {"asked": handler.get_argument("asked", "nothing"), "agent": handler.request.headers.get("User-Agent", "")}
        if handler
        else {}
    )
    seen["by"] = handler.current_user.name if handler else ""
    for name, value in {**seen, **{key: type(value).__name__ for key, value in spawner.user_options.items()}}.items():
        spawner.environment[f"STANDIN_{name.upper()}"] = value


FORMS = {"text": TEXT, "scripts": SCRIPTS, "callable": called, "async": awaited}
c.Spawner.options_form = FORMS[os.environ.get("TEST_FORM", "text")]
c.Spawner.options_from_form = read
c.Spawner.pre_spawn_hook = note
