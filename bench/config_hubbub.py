"""Hubbub under the load harness: the same stand-in, users and service as JupyterHub's side has."""

import os
import shlex

from hubbub_spawner_worker.spawners import SimpleLocalProcessSpawner

c = get_config()  # noqa: F821
shared_port = int(os.environ.get("BENCH_SHARED_PORT", "18900"))


class BenchSpawner(SimpleLocalProcessSpawner):
    """Local processes; with user options {"standin": "shared"} only an address is registered."""

    shared = False

    def load_state(self, state):
        super().load_state(state)
        self.shared = bool(state.get("shared"))

    def get_state(self):
        state = super().get_state()
        if self.shared:
            state["shared"] = True
        return state

    def clear_state(self):
        super().clear_state()
        self.shared = False

    async def start(self):
        if self.user_options.get("standin") == "shared":
            self.shared = True
            return ("127.0.0.1", shared_port)
        return await super().start()

    async def poll(self):
        return None if self.shared else await super().poll()

    async def stop(self, now=False):
        if self.shared:
            self.shared = False
        else:
            await super().stop(now)


c.JupyterHub.spawner_class = BenchSpawner
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
