"""Processes that JupyterHub has left are put on the spool, as those of a worker that is dead: the first worker of this
host that starts finds them there, and goes on with them.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from hubbub import eventlog, vault
from hubbub.config import Options
from hubbub.moving.running import HOLDER
from hubbub.roles import Roles
from hubbub_api.specs import Specs
from hubbub_local import process
from hubbub_local.moving.found import Local
from hubbub_spawner_worker import proc
from hubbub_spawner_worker.host import boot_id, host_id
from hubbub_spawner_worker.spool import Record, Spool

_WAITING = "select id, url from servers where holder = $1 and reach is null"


async def spool(dsn: str, vault_key: str, bus_key: str, options: Options, data: Path, local: dict[str, Local]) -> int:
    """*local*: by the ids of servers here. How many there are now."""
    house = data / "spool" / host_id()
    async with eventlog.pool(dsn) as pool:
        rows = {row["id"]: row["url"] for row in await pool.fetch(_WAITING, HOLDER) if row["id"] in local}
        specs = Specs(pool, vault.Vault(vault_key), vault.sealer(bus_key), options, Roles(options), {})
        made = await specs.of(list(rows))
    if not made:
        return 0
    shelf = Spool(house, HOLDER)
    (house / f"{HOLDER}.lock").touch(mode=0o600)
    for spec in made:
        url, found = rows[spec.server], local[spec.server]
        shelf.write(
            Record(
                server=spec.server,
                attempt=spec.attempt,
                spec=spec,
                url=url,
                boot_id=boot_id(),
                uid=found.uid,
                pid=found.pid,
                start_time=found.started,
                port=urlsplit(url).port or 0,
            )
        )
    return len(made)


def tokens(data: Path) -> dict[str, str]:
    """The API tokens of servers that are processes of this host, by the servers' ids, as far as they can be read."""
    found = {}
    for path in (data / "spool" / host_id()).glob("*/*.json"):
        record = msgspec.json.decode(path.read_bytes(), type=Record)
        live = proc.stat(record.pid) if record.pid else None
        if live and live.started == record.start_time:
            for entry in process.environment(live.pid).split("\0"):
                if entry.startswith("JUPYTERHUB_API_TOKEN="):
                    found[record.server] = entry.partition("=")[2]
    return found
