"""A hub whose figures Prometheus may read, with limits, and a webhook that nobody takes: each figure is there."""

from pathlib import Path

c = get_config()  # noqa: F821
load_subconfig("config_standin.py", path=str(Path(__file__).parent.parent / "integration"))  # noqa: F821

c.JupyterHub.services.append({"name": "prometheus", "api_token": "token-of-prometheus-0123"})
c.JupyterHub.load_roles.append({"name": "prometheus", "services": ["prometheus"], "scopes": ["read:metrics"]})
c.Hubbub.worker_capacity = 10
c.Hubbub.webhooks = [{"name": "nobody", "url": "http://127.0.0.1:9/", "secret": "s" * 16, "timeout": 1}]
c.Hubbub.spawn_retries = 0
