"""A thousand servers that cost nothing: each is an address, and the same one (faults/test_thousand.py)."""

import os
from pathlib import Path

from hubbub_spawner_worker.spawners import Spawner

c = get_config()  # noqa: F821
load_subconfig(str(Path(__file__).parent / "config_standin.py"))  # noqa: F821

ended = Path(os.environ["HUBBUB_DATA"]) / "ended"


class AddressSpawner(Spawner):
    """A server has ended when there is a file of its owner's name. Any worker can ask, as of a backend for all."""

    reach = "pool"

    async def start(self):
        (ended / self.user.name).unlink(missing_ok=True)
        return "127.0.0.1", int(os.environ["TEST_STANDIN_PORT"])

    async def poll(self):
        return 1 if os.path.exists(ended / self.user.name) else None  # noqa: ASYNC240

    async def stop(self, now=False):
        ended.mkdir(exist_ok=True)
        (ended / self.user.name).touch()


c.JupyterHub.spawner_class = AddressSpawner
c.Spawner.poll_interval = 5
c.Hubbub.worker_starts = 64
c.JupyterHub.log_level = "WARNING"
