"""A hub behind a balancer, which ends TLS and is at 127.0.0.1 or in 10.0.0.0/8."""

from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_standin.py", path=str(Path(__file__).parent))  # noqa: F821

c.JupyterHub.trusted_downstream_ips = ["127.0.0.1", "10.0.0.0/8"]
c.JupyterHub.cookie_host_prefix_enabled = True
