"""The configuration of the other integration tests, with internal TLS: servers of stand-ins, or of the real thing."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_services.py")  # noqa: F821


class TlsSpawner(c.JupyterHub.spawner_class):
    """With the user option `real` it is JupyterHub's own single-user server."""

    def get_args(self):
        return ["--allow-root"] if self.user_options.get("real") else super().get_args()

    async def start(self):
        if self.user_options.get("real"):
            self.cmd = [str(Path(sys.executable).parent / "jupyterhub-singleuser")]
        return await super().start()


c.JupyterHub.spawner_class = TlsSpawner
if os.environ.get("TEST_CLASSIC"):
    from jupyterhub.spawner import SimpleLocalProcessSpawner

    c.JupyterHub.spawner_class = SimpleLocalProcessSpawner
c.JupyterHub.internal_ssl = True
c.Spawner.cmd = [sys.executable, str(Path(os.environ["TEST_HERE"]) / "tls_standin.py")]
