"""Several proxies: the servers are those that echo WebSockets, and nobody notices a restart of the house."""

import sys
from pathlib import Path

c = get_config()  # noqa: F821
here = Path(__file__).parent
load_subconfig(str(here / "config_standin.py"))  # noqa: F821

c.Spawner.cmd = [sys.executable, str(here / "echo_standin.py")]
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
