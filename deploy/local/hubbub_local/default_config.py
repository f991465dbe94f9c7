"""The configuration of a hub that was given none: one password for everybody, servers as processes on this machine."""

import os
import sys
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets' loader brings it)

_data = Path(os.environ["HUBBUB_DATA"])
_in_template = str(_data).replace("{", "{{").replace("}", "}}")

# A shared password over plain HTTP is for this machine alone; a configuration of your own opens the hub to others.
c.JupyterHub.ip = "127.0.0.1"
c.JupyterHub.allow_named_servers = True
# After the login comes the home page with its Start button, rather than a server that nobody asked for yet.
c.JupyterHub.redirect_to_server = False
c.JupyterHub.authenticator_class = "shared-password"
c.JupyterHub.spawner_class = "simple"

c.SharedPasswordAuthenticator.user_password = (_data / "login-password").read_text().strip()
c.SharedPasswordAuthenticator.admins_share_password = True
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}

c.Spawner.cmd = [str(Path(sys.executable).parent / "jupyterhub-singleuser")]
if os.geteuid() == 0:
    # Servers run as the user who runs the hub, and Jupyter asks to be told that this is meant when it is root.
    c.Spawner.args = ["--allow-root"]
c.SimpleLocalProcessSpawner.home_dir_template = f"{_in_template}/home/{{username}}"
