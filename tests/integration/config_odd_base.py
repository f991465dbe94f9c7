"""The configuration of the other integration tests, with servers that ask the hub whom to let in, at an odd address."""

import sys
from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_services.py")  # noqa: F821
c.JupyterHub.base_url = "/jü lab/100%/@+x"
c.Spawner.cmd = [sys.executable, str(Path(__file__).parent / "shared_standin.py")]


def of_jupyterhub(spawner):
    if spawner.user.name == "grün":
        spawner.cmd = [str(Path(sys.executable).parent / "jupyterhub-singleuser")]
        spawner.args = ["--allow-root"]


c.Spawner.pre_spawn_hook = of_jupyterhub
