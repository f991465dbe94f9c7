"""What it takes to register a service while the hub runs: the rules of POST /services/{service}."""

from collections.abc import Iterable
from typing import Any

import msgspec
import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.domain import scope
from hubbub.domain.message import AlreadyExists, Invalid, Json, LimitReached
from hubbub.domain.names import check_service_name
from hubbub.domain.scope_tree import ADMIN_ROLE
from hubbub.domain.service import Spec
from hubbub.hosts import BadHost
from hubbub.services import BadService, spec_of
from hubbub.tokens import token_hash
from hubbub.transaction import Transaction
from hubbub.web.request import GATE, ApiError

log = structlog.get_logger()

#: Services registered while the hub runs; their list is never cut into pages.
MOST = 1_000
#: Bytes of a service's description, as JSON.
LARGEST = 64 * 1024
LONGEST_URL = 500


class NewService(msgspec.Struct, kw_only=True):
    """`api_token` has 8 to 64 characters. `command` is refused, and what goes with one means nothing here, nor does
    `name`.
    """

    admin: bool = False
    url: str = ""
    api_token: str = ""
    info: Json = {}
    display: bool = True
    oauth_client_id: str = ""
    oauth_redirect_uri: str = ""
    oauth_no_confirm: bool = False
    oauth_client_allowed_scopes: list[str] = []
    command: list[str] = []
    name: Any = None
    cwd: str = ""
    environment: Json = {}
    user: str = ""


def spec(request: web.Request, name: str, body: NewService) -> Spec:
    """What *body* makes of the service. Raises the contract's 400."""
    if body.command:
        raise ApiError(400, f"Can not create managed service {name} at runtime")
    if len(body.url) > LONGEST_URL:
        raise _refused(name, f"its url is longer than {LONGEST_URL} characters")
    if "@" in body.url:
        # It is shown to others, and stands in the log.
        raise _refused(name, "its url must not hold a password")
    if body.api_token and not 8 <= len(body.api_token) <= 64:
        raise _refused(name, "its api_token must have 8 to 64 characters")
    try:
        check_service_name(name)
        options = request.app[GATE].options
        found = spec_of({**msgspec.structs.asdict(body), "name": name}, options.base_url)
        options.hosts.of_service(name)
    except (BadHost, BadService, Invalid) as error:
        raise _refused(name, str(error)) from None
    if len(msgspec.json.encode(found)) > LARGEST:
        raise _refused(name, f"its description is longer than {LARGEST} bytes of JSON")
    return found


def _refused(name: str, why: str) -> Invalid:
    """In JupyterHub's words, which do not say why; the log does."""
    log.warning("service.refused", name=name[:255], why=why[:500])
    return Invalid(f"Failed to create service {name[:255]}")


async def check_held(request: web.Request, identity: Identity, spec: Spec) -> None:
    """400 unless the asker, with whatever token, may do all that is asked for; 403 for `admin` by anybody else."""
    access = request.app[GATE].access
    asked = [*spec.oauth_client_allowed_scopes, *(ADMIN_ROLE if spec.admin else ())]
    if unknown := [each for each in asked if not access.roles.tree.known(each)]:
        raise ApiError(400, f"No such scope: {unknown[0][:50]!r}")
    if asked:
        owner = await _owner(request, identity)
        wanted = access.roles.tree.expand(asked, **{owner.kind: owner.name})
        members = await access.members([*wanted, *owner.scopes])
        if excess := sorted(each for each in wanted if not scope.covers(owner.scopes, each, members)):
            raise ApiError(400, _excess(owner, excess))
    if spec.admin and not identity.admin:
        raise ApiError(403, "Only admins can grant admin permissions")


def _excess(owner: Identity, scopes: Iterable[str]) -> str:
    return f"Not assigning requested scopes {','.join(scopes)} not held by {owner.kind.title()} {owner.name}"


async def _owner(request: web.Request, identity: Identity) -> Identity:
    """The asker, with all that they may do themselves."""
    access = request.app[GATE].access
    if identity.kind == "service":
        return access.service(identity.name, admin=identity.admin)
    owner = await access.user(identity.name)
    if owner is None:
        raise ApiError(403)  # deleted a moment ago
    return owner


async def check_free(request: web.Request, tx: Transaction, spec: Spec, hashed: str) -> None:
    """Under the lock: nobody has the name, the OAuth client or the token that this service is to have."""
    options, name = request.app[GATE].options, spec.name
    [taken] = await tx.fetch(_TAKEN, name, spec.oauth_client_id, hashed)
    if taken["name"] or name in options.services:
        raise AlreadyExists(f"Service {name} already exists")
    if name in options.hub.service_tokens.values():
        raise _refused(name, "c.JupyterHub.service_tokens has a token of it")
    if spec.oauth_client_id and (taken["client"] or spec.oauth_client_id in _clients(options)):
        raise _refused(name, "its oauth_client_id is that of another service")
    if taken["token"] or hashed in _tokens(options):
        raise _refused(name, "its api_token is in use")
    if taken["number"] >= MOST:
        raise LimitReached(f"There are {MOST} services already")


def _clients(options: Options) -> set[str]:
    return {spec.oauth_client_id for spec in options.services.values()}


def _tokens(options: Options) -> set[str]:
    """The hashes of those in the configuration."""
    own = [said["api_token"] for said in options.hub.services if said.get("api_token")]
    return {token_hash(token) for token in (*own, *options.hub.service_tokens, *options.hub.api_tokens)}


_TAKEN = """
    select exists (select from services where name = $1) as name,
           exists (select from services where client = $2 and client <> '') as client,
           exists (select from tokens where hash = $3) as token,
           (select count(*) from services) as number
"""
