"""A hub as people use it: servers that ask whom to let in, options, roles with which one shares, a service to visit."""

import sys
from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_standin.py")  # noqa: F821
here = Path(__file__).parent

FORM = """
<label for="size">Size</label>
<select id="size" name="size"><option value="1">small</option><option value="2">large</option></select>
"""
TALKS = """
import runpy, sys
print("unpacking the kitchen", flush=True)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def form(spawner):
    return FORM if spawner.name == "choice" else ""


def choose(spawner):
    """What delays or fails cannot ask anybody anything."""
    if spawner.user_options.keys() & {"delay", "fail"}:
        spawner.cmd = [sys.executable, "-c", TALKS, str(here / "standin.py")]
    else:
        spawner.cmd = [sys.executable, str(here / "shared_standin.py")]


class Spawner(c.JupyterHub.spawner_class):
    def options_from_query(self, query):
        return {name: values[0] for name, values in query.items()}


c.JupyterHub.spawner_class = Spawner
c.Spawner.options_form = form
c.Spawner.pre_spawn_hook = choose
c.Hubbub.spawn_retries = 0
c.JupyterHub.named_server_limit_per_user = 4
c.JupyterHub.services += [{"name": "wiki", "url": "http://127.0.0.1:9", "display": True}]
c.JupyterHub.load_roles += [
    {
        "name": "user",
        "scopes": ["self", "shares!user", "read:users:name", "read:groups:name", "access:services!service=wiki"],
    },
    {"name": "operators", "services": ["test"], "scopes": ["admin-ui", "admin:groups"]},
]
