"""Where the servers that run already are, by the configuration and by what this host says of their processes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hubbub.config import Options
from hubbub.domain.server_messages import Reach
from hubbub.moving.survey import Place
from hubbub.moving.theirs import TheirServer, TheirUser
from hubbub_local import process
from hubbub_local.errors import StackError
from hubbub_spawner_worker import proc
from hubbub_spawner_worker.host import host_id
from hubbub_spawner_worker.spawners.loading import NoSpawner, is_classic, load_class


@dataclass(frozen=True, kw_only=True)
class Local:
    """A process of this host, as the spool has it."""

    pid: int
    started: int
    uid: int


@dataclass(kw_only=True)
class Found:
    """`local`: those that are processes of this host, by JupyterHub's ids. `hubs`: where servers look for the hub."""

    options: Options
    local: dict[int, Local] = field(default_factory=dict)
    hubs: Counter[str] = field(default_factory=Counter)
    _reaches: dict[str, Reach] = field(default_factory=dict)

    def place(self, user: TheirUser, groups: Sequence[str], server: TheirServer) -> Place | str:
        """See `hubbub.moving.survey.Finds`."""
        if not server.prefix.startswith(self.options.base_url):
            return f"c.JupyterHub.base_url is {self.options.base_url}, and it lives elsewhere"
        chosen = server.options if isinstance(server.options, dict) else {}
        pool = self.options.pool_of(user.name, groups, chosen)
        reach = self._reach(pool)
        if reach != "process":
            return Place(pool=pool, reach=reach, host=host_id())
        found = self._process(server)
        if isinstance(found, str):
            return found
        self.local[server.id], environ = found
        if hub := environ.get("JUPYTERHUB_API_URL"):
            self.hubs[hub] += 1
        return Place(pool=pool, reach=reach, host=host_id(), token=environ.get("JUPYTERHUB_API_TOKEN", ""))

    def _reach(self, pool: str) -> Reach:
        if pool not in self._reaches:
            self._reaches[pool] = reach_of(self.options, pool)
        return self._reaches[pool]

    def _process(self, server: TheirServer) -> tuple[Local, dict[str, str]] | str:
        """That of the server and of nobody else, with its environment; or what is wrong."""
        pid = server.state.get("pid") if isinstance(server.state, dict) else None
        if not isinstance(pid, int) or pid <= 0:
            return "its spawner's state names no process"
        found, uid = proc.stat(pid), proc.uid(pid)
        if found is None or not found.alive or uid is None:
            return "its process has ended"
        text = process.environment(pid)
        if not text:
            return "its process is not this user's to look at (run this as the user that JupyterHub ran as)"
        environ = dict(entry.partition("=")[::2] for entry in text.split("\0") if "=" in entry)
        if environ.get("JUPYTERHUB_SERVICE_PREFIX") != server.prefix:
            return "its process has ended, and another has its number"
        return Local(pid=pid, started=found.started, uid=uid), environ

    def hub(self) -> str:
        """Where servers look for the hub, as a URL without a path; "" if none tells."""
        known = self.hubs.most_common(1)
        parts = urlsplit(known[0][0]) if known else None
        return f"{parts.scheme}://{parts.netloc}" if parts else ""


def reach_of(options: Options, pool: str) -> Reach:
    """Who can get at what the workers of *pool* start. Raises StackError for a class that there is not."""
    try:
        kind = load_class(options.spawner_class_of(pool))
    except NoSpawner as error:
        raise StackError(str(error)) from None
    if is_classic(kind):
        from hubbub_spawner_worker.classic import making

        found = making.reach_of(kind)
    else:
        found = kind.reach
    said = options.ours.spawner_reach
    return found if found == "process" or not said else said
