"""Servers as processes of this host."""

import os
import pwd
import shlex
import signal
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from hubbub.addresses import netloc
from hubbub.domain.server_messages import Reach
from hubbub_spawner_worker.cgroups import Limits
from hubbub_spawner_worker.gate import Account, CannotRun
from hubbub_spawner_worker.process import Process, Step
from hubbub_spawner_worker.spawners import certs
from hubbub_spawner_worker.spawners.spawner import Spawner
from hubbub_spawner_worker.spawners.surroundings import Program, reachable
from hubbub_spawner_worker.spawners.traits import Command

_KEPT = (
    *("CONDA_DEFAULT_ENV", "CONDA_ROOT", "JUPYTERHUB_SINGLEUSER_APP", "LANG", "LC_ALL", "LD_LIBRARY_PATH"),
    *("PATH", "PYTHONPATH", "VIRTUAL_ENV"),
)
_CERTS = ".jupyterhub/jupyterhub-certs"


class LocalProcessSpawner(Spawner):
    """Each person's servers run as the UNIX user of the same name: the worker must be root, or that user."""

    interrupt_timeout = traitlets.Float(30, help="Seconds to wait after SIGINT.").tag(config=True)
    term_timeout = traitlets.Float(30, help="Seconds to wait after SIGTERM.").tag(config=True)
    kill_timeout = traitlets.Float(5, help="Seconds to wait after SIGKILL.").tag(config=True)
    popen_kwargs = traitlets.Dict(help="More arguments for subprocess.Popen.").tag(config=True)
    shell_cmd = Command(help="A shell that gets the command as its last argument, e.g. ['bash', '-lc'].").tag(
        config=True
    )

    reach: ClassVar[Reach] = "process"
    process: Process | None = None

    @traitlets.default("env_keep")
    def _env_keep_default(self) -> list[str]:
        return list(_KEPT)

    async def start(self) -> tuple[str, int]:
        if self.port == 0:
            self.port = self.place.reserve_port(self.ip)
        ip = reachable(self.ip)
        scheme = "https" if self.internal_ssl else "http"
        options = dict(self.popen_kwargs)
        environment = await self._environment()
        self.process = self.place.launch(
            Program(
                command=self._command(options),
                environment=environment,
                folder=str(options.pop("cwd", None) or self.home()),
                url=f"{scheme}://{netloc(ip, self.port)}",
                port=self.port,
                account=self.account(),
                options=options,
                limits=Limits.of(self),
            )
        )
        return ip, self.port

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002
        if self.process is not None and self.process.alive:
            await self.process.stop(self._steps()[1 if now else 0 :])

    async def poll(self) -> Any:
        if self.process is None:
            return 0
        return None if self.process.alive else self._status(self.process) or 0

    async def ended(self) -> Any:
        """As soon as it has, where there is a process to watch."""
        if self.process is None:
            return await super().ended()
        await self.process.wait()
        return self._status(self.process)

    def _status(self, process: Process) -> Any:
        """Its exit status, with the reason where that would be asked for next."""
        if not process.starved:
            return process.status
        limit = Limits.of(self).memory
        return f"{process.status}: out of memory" + (f", of which it may have {limit} bytes" if limit else "")

    def get_state(self) -> dict[str, Any]:
        state = super().get_state()
        if self.process is not None:
            state["pid"] = self.process.pid
        return state

    def clear_state(self) -> None:
        super().clear_state()
        self.process = None

    def adopt(self, process: Process) -> None:
        self.process = process

    async def release(self) -> None:
        if self.process is not None:
            await self.process.forget()

    @property
    def stop_patience(self) -> float:
        return sum(patience for _, patience in self._steps()) + 10

    def get_env(self) -> dict[str, str]:
        return self.user_env(super().get_env())

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        entry = self._entry()
        theirs = {"USER": self.user.name, "HOME": entry.pw_dir, "SHELL": entry.pw_shell}
        return {**env, **{name: value for name, value in theirs.items() if value}}

    async def _environment(self) -> dict[str, str]:
        """Its functions are the operator's: where there is a place for those, they run there."""
        if self.aside is None or not any(map(callable, self.environment.values())):
            return self.get_env()
        return dict(await self.aside.call(self.get_env, patience=self.start_timeout))

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """Into a folder in the user's home that nobody else can look into."""
        if not paths:
            return {}
        return await certs.hand_over(paths, Path(self._entry().pw_dir, _CERTS, self.name), self.account())

    def home(self) -> str:
        """The folder to work in."""
        return self._entry().pw_dir or "/"

    def account(self) -> Account | None:
        """As whom to run."""
        entry = self._entry()
        if entry.pw_uid == os.geteuid():
            return None
        if os.geteuid() != 0:
            raise CannotRun(f"only root can start the server of {self.user.name} as the UNIX user of that name")
        return Account(uid=entry.pw_uid, gid=entry.pw_gid, groups=os.getgrouplist(entry.pw_name, entry.pw_gid))

    def _entry(self) -> pwd.struct_passwd:
        try:
            return pwd.getpwnam(self.user.name)
        except KeyError:
            raise CannotRun(f"there is no UNIX user {self.user.name!r} on this host") from None

    def _command(self, options: dict[str, Any]) -> list[str]:
        """What stands for the command in *options* is taken out of them: Popen itself runs something else first."""
        command = [*(self.cmd or ()), *self.get_args()]
        command = [*self.shell_cmd, shlex.join(command)] if self.shell_cmd else command
        shell, executable = options.pop("shell", False), options.pop("executable", None)
        if shell:
            return [str(executable or "/bin/sh"), "-c", *command]
        return [str(executable), *command[1:]] if executable else command

    def _steps(self) -> tuple[Step, ...]:
        return (
            (signal.SIGINT, self.interrupt_timeout),
            (signal.SIGTERM, self.term_timeout),
            (signal.SIGKILL, self.kill_timeout),
        )


class SimpleLocalProcessSpawner(LocalProcessSpawner):
    """All servers run as the worker's own user: for trying things out, not for people who do not trust each other."""

    home_dir_template = traitlets.Unicode(f"{tempfile.gettempdir()}/{{username}}", help="May hold {username}.").tag(
        config=True
    )
    home_dir = traitlets.Unicode(help="Made from the template unless a hook sets it.")

    @traitlets.default("home_dir")
    def _home_dir_default(self) -> str:
        return self.format_string(self.home_dir_template)

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        return {**env, "USER": self.user.name, "HOME": self.home_dir, "SHELL": "/bin/bash"}

    def home(self) -> str:
        """Made if it is not there; refused if somebody else has made it, as anybody can in a shared folder."""
        if self.user.name in (".", ".."):
            raise CannotRun(f"{self.user.name!r} is no name for a home folder")
        home = Path(self.home_dir)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if {home.stat().st_uid, home.lstat().st_uid} != {os.geteuid()}:
            raise CannotRun(f"the home folder {home} belongs to somebody else")
        return str(home)

    def account(self) -> Account | None:
        return None

    async def move_certs(self, paths: dict[str, str]) -> dict[str, str]:
        """They are the worker's user's, as the servers are."""
        return paths
