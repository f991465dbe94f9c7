"""What every kind of proxy is configured with in the suite that all of them pass (proxy_suite.py)."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
here = Path(__file__).parent
load_subconfig(str(here / "config_standin.py"))  # noqa: F821


class ProxiedSpawner(c.JupyterHub.spawner_class):
    """Servers say what reached them. With the user option `real` it is JupyterHub's own single-user server."""

    def get_args(self):
        return ["--allow-root"] if self.user_options.get("real") else super().get_args()

    async def start(self):
        if self.user_options.get("real"):
            self.cmd = [str(Path(sys.executable).parent / "jupyterhub-singleuser")]
        return await super().start()


c.JupyterHub.spawner_class = ProxiedSpawner
c.Spawner.cmd = [sys.executable, str(here / "echo_standin.py")]
c.Spawner.environment = {"JUPYTERHUB_ACTIVITY_INTERVAL": "2"}
c.JupyterHub.services = [
    *c.JupyterHub.services,
    {"name": "page", "url": os.environ["TEST_SERVICE"], "api_token": "token-of-the-page", "oauth_no_confirm": True},
]
c.JupyterHub.load_roles[0]["scopes"].append("admin:services")
c.Proxy.extra_routes = {"/extra/": os.environ["TEST_EXTRA"]}
# Nobody notices a restart of the house.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
