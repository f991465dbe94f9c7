"""Managed services as processes of this host."""

from pathlib import Path
from typing import Any

import traitlets

from hubbub.managed import Managed
from hubbub_spawner_worker.gate import Account, CannotRun
from hubbub_spawner_worker.spawners.local import LocalProcessSpawner
from hubbub_spawner_worker.spawners.surroundings import Program

_PLACE = ("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_OAUTH_CALLBACK_URL")


class ServiceSpawner(LocalProcessSpawner):
    """`service`: as this worker's configuration has it; `flaw`: why it must not be started so.

    `user` is the UNIX user to run as, nobody if its name is empty. Of the operator's options for spawners
    none is looked at, as in JupyterHub.
    """

    service = traitlets.Instance(Managed)
    flaw = traitlets.Unicode()

    @traitlets.default("http_timeout")
    def _http_timeout_default(self) -> float:
        return float(self.service.timeout)

    async def start(self) -> Any:
        """Returns its URL, "" if it has none."""
        if self.flaw:
            raise CannotRun(self.flaw)
        program = Program(
            command=self.service.command,
            environment=self.get_env(),
            folder=self.home(),
            url=self.service.url,
            port=0,
            account=self.account(),
            options={},
        )
        self.process = self.place.launch(program)
        return self.service.url

    @property
    def probe(self) -> str:
        return self.prefix

    def get_env(self) -> dict[str, str]:
        """What the operator sets wins, but for who the service is and where."""
        service = self.service
        found = super().get_env()
        del found["JUPYTERHUB_ACTIVITY_URL"]
        found["JUPYTERHUB_SERVER_NAME"] = ""
        if service.api_token:
            found |= dict.fromkeys(("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN"), service.api_token)
        if not service.url:
            found = {name: value for name, value in found.items() if name not in _PLACE}
        found |= {**service.environment, "JUPYTERHUB_SERVICE_NAME": service.name}
        if service.url:
            found |= {"JUPYTERHUB_SERVICE_URL": service.url, "JUPYTERHUB_SERVICE_PREFIX": self.prefix}
        return found

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        return super().user_env(env) if self.user.name else env

    def home(self) -> str:
        """Where the operator wants it, else where the worker is."""
        folder = Path(self.service.cwd or ".").absolute()
        if not folder.is_dir():
            raise CannotRun(f"the folder {folder} is not there")
        return str(folder)

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        return await super().move_certs(paths) if self.user.name else paths

    def account(self) -> Account | None:
        return super().account() if self.user.name else None
