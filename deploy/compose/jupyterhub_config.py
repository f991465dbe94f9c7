"""The configuration of the hub in containers. Make it yours: all services read this one file (docs/compose.md).

What it reads from the environment is in `deploy/.env`, and the same for each of them, as it has to be.
"""

import os
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets' loader brings it)

# Where things are -----------------------------------------------------------------------

c.JupyterHub.bind_url = f"http://:{os.environ.get('PORT', '8000')}{os.environ['BASE_URL']}"
c.JupyterHub.public_url = os.environ["PUBLIC_URL"]
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "api"  # any of the apis: Docker's DNS knows them all by this name
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://proxy-api:8001"

# People ---------------------------------------------------------------------------------

# Everybody has one password (deploy/secrets/login-password), until you choose another authenticator.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = (
    Path(os.environ.get("LOGIN_PASSWORD_FILE", "/run/secrets/login-password")).read_text().strip()
)
c.SharedPasswordAuthenticator.admins_share_password = True
c.Authenticator.allow_all = True
c.Authenticator.admin_users = set(os.environ["ADMIN_USERS"].split(","))

# Their servers: a container each ----------------------------------------------------------

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cleanup_servers = False
c.DockerSpawner.image = os.environ["SINGLEUSER_IMAGE"]
c.DockerSpawner.network_name = os.environ["USERS_NETWORK"]
c.DockerSpawner.prefix = os.environ["HUB_NAME"]
c.DockerSpawner.remove = True
c.DockerSpawner.notebook_dir = "/home/jovyan/work"
c.DockerSpawner.volumes = {f"{os.environ['HUB_NAME']}-{{username}}": "/home/jovyan/work"}
