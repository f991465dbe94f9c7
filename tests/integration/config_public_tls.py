"""TLS for people, and internal TLS behind it: nothing of what anybody says can be read on its way."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
here = Path(__file__).parent
load_subconfig(str(here / "config_standin.py"))  # noqa: F821

c.JupyterHub.ssl_key = os.environ["TEST_SSL_KEY"]
c.JupyterHub.ssl_cert = os.environ["TEST_SSL_CERT"]
c.JupyterHub.base_url = "/base/"
c.JupyterHub.internal_ssl = True
c.JupyterHub.redirect_to_server = False
c.ConfigurableHTTPProxy.check_running_interval = 0.2
c.Spawner.cmd = [sys.executable, str(here / "tls_standin.py")]
