"""Servers as processes of this host."""

import os
import pwd
import shlex
import signal
import tempfile
from pathlib import Path
from typing import Any

import traitlets

from hubbub_spawner_worker.gate import Account, CannotRun
from hubbub_spawner_worker.process import Process, Step
from hubbub_spawner_worker.spawners.spawner import Program, Spawner

_KEPT = (
    *("JUPYTERHUB_SINGLEUSER_APP", "PATH", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_ROOT", "CONDA_DEFAULT_ENV"),
    *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"),
)
_EVERYWHERE = ("", "0.0.0.0", "::")


class LocalProcessSpawner(Spawner):
    """Each person's servers run as the UNIX user of the same name: the worker must be root, or that user."""

    interrupt_timeout = traitlets.Float(30, help="Seconds to wait after SIGINT.").tag(config=True)
    term_timeout = traitlets.Float(30, help="Seconds to wait after SIGTERM.").tag(config=True)
    kill_timeout = traitlets.Float(5, help="Seconds to wait after SIGKILL.").tag(config=True)
    popen_kwargs = traitlets.Dict(help="More arguments for subprocess.Popen.").tag(config=True)
    shell_cmd = traitlets.List(
        traitlets.Unicode(), help="A shell that gets the command as its last argument, e.g. ['bash', '-lc']."
    ).tag(config=True)

    process: Process | None = None

    @traitlets.default("env_keep")
    def _env_keep_default(self) -> list[str]:
        return list(_KEPT)

    async def start(self) -> tuple[str, int]:
        if self.port == 0:
            self.port = self.place.reserve_port(self.ip)
        ip = "127.0.0.1" if self.ip in _EVERYWHERE else self.ip
        options = dict(self.popen_kwargs)
        self.process = self.place.launch(
            Program(
                command=self._command(),
                environment=self.get_env(),
                folder=str(options.pop("cwd", None) or self.home()),
                url=f"http://[{ip}]:{self.port}" if ":" in ip else f"http://{ip}:{self.port}",
                port=self.port,
                account=self.account(),
                options=options,
            )
        )
        return ip, self.port

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002
        if self.process is not None and self.process.alive:
            await self.process.stop(self._steps()[1 if now else 0 :])

    async def poll(self) -> Any:
        if self.process is None:
            return 0
        return None if self.process.alive else self.process.status or 0

    async def ended(self) -> Any:
        """As soon as it has, where there is a process to watch."""
        return await super().ended() if self.process is None else await self.process.wait()

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
        return {**env, "USER": self.user.name, "HOME": entry.pw_dir, "SHELL": entry.pw_shell or "/bin/sh"}

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

    def _command(self) -> list[str]:
        command = [*self.cmd, *self.get_args()]
        return [*self.shell_cmd, shlex.join(command)] if self.shell_cmd else command

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

    @property
    def home_dir(self) -> str:
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
