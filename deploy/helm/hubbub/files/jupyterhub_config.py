"""The configuration of the hub on Kubernetes; all services read this one file. `config` of the chart replaces it."""

import os
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets' loader brings it)
here = os.environ

# Where things are -----------------------------------------------------------------------

c.JupyterHub.bind_url = f"http://:8000{here['BASE_URL']}"
c.JupyterHub.public_url = here["PUBLIC_URL"]
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = here["HUB_NAME"]
c.JupyterHub.cleanup_servers = False
c.ConfigurableHTTPProxy.should_start = False

# People ---------------------------------------------------------------------------------

# Everybody has one password (`login-password` of the hub's Secret), until you choose another authenticator.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = Path(here["LOGIN_PASSWORD_FILE"]).read_text().strip()
c.SharedPasswordAuthenticator.admins_share_password = True
c.Authenticator.allow_all = True
c.Authenticator.admin_users = set(here["ADMIN_USERS"].split(","))

# Their servers: a pod each ----------------------------------------------------------------

c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.allow_named_servers = True
c.KubeSpawner.namespace = here["USERS_NAMESPACE"]
c.KubeSpawner.image = here["SINGLEUSER_IMAGE"]
c.KubeSpawner.pod_name_template = f"{here['RELEASE']}-user-{{user_server}}"
# Network policies know their pods by these.
c.KubeSpawner.component_label = "user"
c.KubeSpawner.extra_labels = {"app.kubernetes.io/instance": here["RELEASE"]}
c.KubeSpawner.automount_service_account_token = False
c.KubeSpawner.enable_user_namespaces = False
for option in ("mem_guarantee", "mem_limit", "cpu_guarantee", "cpu_limit"):
    if here[option.upper()]:
        c.KubeSpawner[option] = float(here[option.upper()]) if "cpu" in option else here[option.upper()]
if here["STORAGE_SIZE"]:
    c.KubeSpawner.pvc_name_template = f"{here['RELEASE']}-user-{{username}}"
    c.KubeSpawner.storage_pvc_ensure = True
    c.KubeSpawner.storage_capacity = here["STORAGE_SIZE"]
    if here["STORAGE_CLASS"]:
        c.KubeSpawner.storage_class = here["STORAGE_CLASS"]
    c.KubeSpawner.volumes = [{"name": "home", "persistentVolumeClaim": {"claimName": "{pvc_name}"}}]
    c.KubeSpawner.volume_mounts = [{"name": "home", "mountPath": here["STORAGE_MOUNT"]}]
    c.KubeSpawner.fs_gid = 100

# What the chart's `extraConfig` says, which may change anything above.
load_subconfig("extra_config.py", path=str(Path(__file__).parent))  # type: ignore[name-defined]  # noqa: F821
