"""What a test's configuration is put into: before it the one that is shipped, after it what containers need."""

import json
import os
import sys

sys.path.append("/opt/packages")  # as a user has more packages in the images that need them

from dockerspawner import DockerSpawner

import hubbub_spawner_worker.spawners

c = get_config()  # noqa: F821

# Tests derive theirs from it, to tell stand-ins of the options of a start.
hubbub_spawner_worker.spawners.SimpleLocalProcessSpawner = DockerSpawner

load_subconfig("shipped.py")  # noqa: F821
load_subconfig("the_config_of_the_test.py")  # noqa: F821

c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "api"
if not isinstance(c.JupyterHub.spawner_class, type):
    c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
if "tornado_settings" in c.JupyterHub and "TEST_SLOW_SPAWN" not in os.environ:
    patience = max(6, c.JupyterHub.tornado_settings.get("slow_spawn_timeout", 10))
    c.JupyterHub.tornado_settings = {**c.JupyterHub.tornado_settings, "slow_spawn_timeout": patience}
    c.Spawner.http_timeout = 30

# What a test starts is there under the same name as for the configuration, and finds the packages of the tests.
c.DockerSpawner.volumes = {
    **c.DockerSpawner.volumes,
    **{folder: {"bind": place, "mode": "ro"} for folder, place in json.loads(os.environ["TEST_MOUNTED"]).items()},
}
