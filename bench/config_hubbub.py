"""Hubbub under the load harness: the same stand-in, users and service as JupyterHub's side has."""

import os
import shlex

from hubbub_spawner_worker.spawners import Spawner

c = get_config()  # noqa: F821


class SharedSpawner(Spawner):
    """A server is an address, that of a stand-in which all of them share: any worker of the pool can watch it."""

    reach = "pool"
    up = True

    async def start(self):
        return "127.0.0.1", int(os.environ.get("BENCH_SHARED_PORT", "18900"))

    async def poll(self):
        return None if self.up else 0

    async def stop(self, now=False):
        self.up = False


c.JupyterHub.spawner_class = "simple"
c.Hubbub.pools = {"shared": {"profiles": ["shared"], "spawner_class": SharedSpawner}}
c.Spawner.cmd = shlex.split(os.environ["BENCH_STANDIN"])
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.environ["HUBBUB_DATA"], "home", "{username}")
c.JupyterHub.allow_named_servers = True
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.cleanup_servers = os.environ.get("BENCH_KEEP_SERVERS") != "1"
c.JupyterHub.cleanup_proxy = os.environ.get("BENCH_KEEP_SERVERS") != "1"  # as the other side has it
c.JupyterHub.log_level = "WARNING"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = "benchbench"
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.concurrency = 64
c.Hubbub.worker_starts = 64

c.JupyterHub.services = [{"name": "bench", "api_token": os.environ["BENCH_TOKEN"]}]
c.JupyterHub.load_roles = [
    {
        "name": "bench",
        "services": ["bench"],
        "scopes": [
            "admin:users",
            "admin:servers",
            "tokens",
            "list:users",
            "read:hub",
            "proxy",
            "shutdown",
            "admin:groups",
            "read:metrics",
            "access:servers",
            "users:activity",
        ],
    }
]
