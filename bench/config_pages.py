"""A hub with many people, whose servers are addresses that cost nothing (pages.py)."""

import os

from hubbub_spawner_worker.spawners import Spawner

c = get_config()  # noqa: F821


class AddressSpawner(Spawner):
    """A server is an address, and the same one for all. Any worker can ask, as of a backend for all."""

    reach = "pool"
    up = True

    async def start(self):
        return "127.0.0.1", int(os.environ["BENCH_STANDIN_PORT"])

    async def poll(self):
        return None if self.up else 0

    async def stop(self, now=False):
        self.up = False


c.JupyterHub.spawner_class = AddressSpawner
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "benchbench"
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"operator"}
c.JupyterHub.allow_named_servers = True
c.JupyterHub.concurrent_spawn_limit = 0
c.JupyterHub.log_level = "WARNING"
c.Spawner.poll_interval = 60
c.Hubbub.worker_starts = 64
c.JupyterHub.services = [{"name": "test", "api_token": "token-of-the-test-service"}]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers"]}]
