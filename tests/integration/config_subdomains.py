"""The configuration of the other integration tests, with a host of their own for everybody's servers.

Servers ask the hub whom to let in; those of "grün" are JupyterHub's own.
"""

import sys
from pathlib import Path

here = Path(__file__).parent
c = get_config()  # noqa: F821
load_subconfig("config_services.py")  # noqa: F821
c.JupyterHub.subdomain_host = "http://hub.test"
c.Spawner.cmd = [sys.executable, str(here / "shared_standin.py")]


def of_jupyterhub(spawner):
    if spawner.user.name == "grün":
        spawner.cmd = [str(Path(sys.executable).parent / "jupyterhub-singleuser")]
        spawner.args = ["--allow-root"]


c.Spawner.pre_spawn_hook = of_jupyterhub
