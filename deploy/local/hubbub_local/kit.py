"""A folder of secrets and settings, one a file, for a hub whose parts something else starts: containers, units."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from hubbub.config import ConfigError, load
from hubbub.schema.migrations import ROLES
from hubbub.settings import Settings
from hubbub.subjects import permissions
from hubbub_local import bus_tls, bus_users, keys
from hubbub_local import role_passwords as role_passwords_
from hubbub_local.addresses import Address
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder, write_private
from hubbub_local.running import Running

OWNER, DATABASE = "hub", "hubbub"
#: What a database URL is called by, and which role it is of; the owner's is made with the database.
_ROLE_OF = {"api": "hubbub_api", "auth": "hubbub_auth"}
_CLUSTER_PORT = 6222


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the files say besides secrets. It is kept, in `kit.json`, for when the kit is made anew."""

    pools: Sequence[str] = ("default",)
    nats: Sequence[str] = ("nats:4222",)
    """host:port of each node; more than one are a cluster."""
    nats_store: str = "/data"
    """The folder that JetStream keeps its streams in, as the server sees it."""
    nats_listen: str = "0.0.0.0:4222"
    postgres: str = f"postgres:5432/{DATABASE}"
    """host:port/database, and what else a URL may have after it."""
    owner: str = OWNER
    """The role that owns the database."""
    mode: int = field(default=0o600)
    """Of the files. The folder itself lets nobody else in, so they may be readable by all, as for single files mounted
    into containers."""


def wanted(root: Path, **said: object) -> Wanted:
    """What was wanted of this folder until now, changed to what is *said*; None is not said."""
    try:
        kept = json.loads((root / "kit.json").read_text())
    except FileNotFoundError:
        kept = {}
    except ValueError:
        raise StackError(f"{root / 'kit.json'} is damaged: it should hold a JSON object") from None
    found = Wanted(**{name: value for name, value in kept.items() if name in Wanted.__dataclass_fields__})
    changed = replace(found, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]
    return replace(changed, pools=tuple(changed.pools), nats=tuple(changed.nats))


def make(root: Path, wish: Wanted) -> list[str]:
    """Make what is missing and write all files. Secrets that are there are kept. Returns the names of the files."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    folder = Folder(root.absolute())
    found = keys.load(folder)
    allowed = permissions(list(wish.pools))
    bus = bus_users.logins(folder, list(allowed))
    bus_tls.write(folder.root, [node.rpartition(":")[0] for node in wish.nats])
    texts = {
        "cookie-secret": found.cookie_secret,
        "vault-key": found.vault_key,
        "bus-key": found.bus_key,
        "forward-key": found.forward_key,
        "proxy-token": found.proxy_token,
        "login-password": found.login_password,
        **_databases(folder, wish),
        **{f"nats-url-{service}": _nats_url(*login, wish) for service, login in bus.items()},
        "nats.conf": _nats_conf(folder, wish),
        bus_users.FILE: bus_users.text(folder, allowed),
        "kit.json": json.dumps(asdict(wish), indent=1),
    }
    for name, text in texts.items():
        path = folder.root / name
        if not path.exists() or path.read_text() != text + "\n":
            write_private(path, text + "\n")
    for name in (*texts, "nats.crt", "nats.key"):
        (folder.root / name).chmod(wish.mode)
    _give(folder.root, [*texts, folder.secrets.name, "nats.crt", "nats.key", "nats-ca.crt", "nats-ca.key"])
    return sorted(texts)


def text(root: Path, name: str) -> str:
    """What is in the file. Raises StackError if there is none to read."""
    try:
        return (root / name).read_text().strip()
    except OSError as error:
        raise StackError(f"{root / name} cannot be read ({error.strerror}): make it with `hubbub kit {root}`") from None


def role_passwords(root: Path) -> dict[str, str]:
    """Of the roles of the services in Postgres."""
    return keys.passwords(Folder(root.absolute()), "postgres", ROLES)


def running(root: Path) -> Running:
    """The hub that this kit is of, for the commands beside it. The configuration is that of HUBBUB_CONFIG."""
    wish = wanted(root)
    try:
        config = load(os.environ.get("HUBBUB_CONFIG", ""), Settings.from_environ())
    except ConfigError as error:
        raise StackError(str(error)) from None
    return Running(
        public_url=Address(config.hub.public_url or config.bind_url).for_people(),
        hub_url=config.hub_connect_url + config.hub_prefix,
        owner_dsn=text(root, "postgres-url-owner"),
        api_dsn=text(root, "postgres-url-api"),
        nats_url=text(root, "nats-url-api"),
        vault_key=text(root, "vault-key"),
        admin_users=sorted(config.admin_users),
        workers={pool: _worker(root, pool) for pool in wish.pools},
    )


def _worker(root: Path, pool: str) -> dict[str, str]:
    return {
        "HUBBUB_POOL": pool,
        "HUBBUB_NATS_URL": text(root, f"nats-url-pool-{pool}"),
        "HUBBUB_BUS_KEY": text(root, "bus-key"),
    }


def _databases(folder: Folder, wish: Wanted) -> dict[str, str]:
    owner = keys.passwords(folder, "postgres", ["owner"])["owner"]
    roles = keys.passwords(folder, "postgres", ROLES)
    coming = {role: coming for role in ROLES if (coming := role_passwords_.coming(folder, role))}
    urls = {
        service: " ".join(_postgres_url(role, each[role], wish) for each in (roles, coming) if role in each)
        for service, role in _ROLE_OF.items()
    }
    urls["owner"] = _postgres_url(wish.owner, owner, wish)
    return {"postgres-password": owner, **{f"postgres-url-{name}": url for name, url in urls.items()}}


def _postgres_url(user: str, password: str, wish: Wanted) -> str:
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@{wish.postgres}"


def _nats_url(user: str, password: str, wish: Wanted) -> str:
    return ",".join(f"nats://{user}:{password}@{node}" for node in wish.nats)


def _nats_conf(folder: Folder, wish: Wanted) -> str:
    """A node of a cluster is told its own name by `--name`."""
    settings: dict[str, object] = {
        "listen": wish.nats_listen,
        "http": "127.0.0.1:8222",
        "max_payload": 1_048_576,
        "jetstream": {"store_dir": wish.nats_store, "max_memory_store": 268_435_456},
        # Workers of other hosts begin with TLS; relative to where this file is.
        "tls": {"cert_file": "nats.crt", "key_file": "nats.key", "handshake_first": "auto", "timeout": 5},
        "allow_non_tls": True,
    }
    if len(wish.nats) == 1:
        settings["server_name"] = "hubbub"
    else:
        password = keys.passwords(folder, "nats cluster", ["node"])["node"]
        hosts = [node.rpartition(":")[0] for node in wish.nats]
        settings["cluster"] = {
            "name": "hubbub",
            "listen": f"0.0.0.0:{_CLUSTER_PORT}",
            "authorization": {"user": "node", "password": password},
            "routes": [f"nats://node:{password}@{host}:{_CLUSTER_PORT}" for host in hosts],
        }
    lines = [f"{name}: {json.dumps(value)}" for name, value in settings.items()]
    return "\n".join([*lines, 'include "nats-users.conf"'])


def _give(root: Path, names: list[str]) -> None:
    """To whom the folder belongs, if root makes them in somebody's folder."""
    owner = root.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for name in names:
            os.chown(root / name, owner.st_uid, owner.st_gid)
