"""The configuration of the other integration tests, with managed services, and servers that choose their ports."""

import asyncio

c = get_config()  # noqa: F821
load_subconfig("config_services.py")  # noqa: F821


class ChoosingSpawner(c.JupyterHub.spawner_class):
    """With the user option `chooses`: as a batch system's, it knows no port until the server has told the hub."""

    async def start(self):
        address = await super().start()
        if not self.user_options.get("chooses"):
            return address
        self.port = 0
        while not self.port:
            await asyncio.sleep(0.01)
        return self.ip, self.port


c.JupyterHub.spawner_class = ChoosingSpawner
