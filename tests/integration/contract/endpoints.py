"""The endpoints of the API as a table: what each needs, and who may use it."""

from dataclasses import dataclass, field
from typing import Any

USER = ("user={user}", "group={group}")
SERVER = ("server={user}/{server}", *USER)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A method and a path; braces are filled by the stage.

    scopes: any one of them is enough, and nothing else; `lacking` comes close and is not.
    filters: those that cover the target; `foreign` does not. No filters: only the unfiltered scope will do.
    missing: the same path to something that is not there, if there can be such; `missing_message` its error's,
    `...` standing for any sentence.
    also: a scope that the token needs besides, for its work.
    """

    call: str
    scopes: tuple[str, ...]
    lacking: str
    status: int = 200
    stage: tuple[str, ...] = ()
    body: Any = None
    filters: tuple[str, ...] = ()
    foreign: str = "user={other}"
    missing: str = ""
    missing_message: Any = None
    also: tuple[str, ...] = field(default=())

    @property
    def method(self) -> str:
        return self.call.split()[0]

    @property
    def path(self) -> str:
        return self.call.split()[1]


READ_USER = (
    "read:users",
    "read:users:name",
    "read:servers",
    "read:users:groups",
    "read:users:activity",
    "read:roles:users",
)
MEMBER = ("user", "group", "member")
OWNER = (*MEMBER, "server")
SHARED = (*OWNER, "other", "share")
CODED = (*OWNER, "code")

USERS = [
    Endpoint(call="GET /users", scopes=("list:users",), lacking="read:users"),
    Endpoint(call="POST /users", scopes=("admin:users",), lacking="users", body={"usernames": ["{new}"]}, status=201),
    Endpoint(call="GET /users/{user}", scopes=READ_USER, lacking="read:tokens", stage=MEMBER, filters=USER,
             missing="/users/{new}"),
    Endpoint(call="POST /users/{new}", scopes=("admin:users",), lacking="users", filters=("user={new}",), status=201),
    Endpoint(call="PATCH /users/{user}", scopes=("admin:users",), lacking="users", stage=MEMBER,
             body={"name": "{new}"}, filters=USER, missing="/users/{new}"),
    Endpoint(call="DELETE /users/{user}", scopes=("delete:users",), lacking="users", stage=MEMBER, filters=USER,
             status=204, missing="/users/{new}"),
    Endpoint(call="POST /users/{user}/activity", scopes=("users:activity",), lacking="read:users:activity",
             stage=MEMBER, body={"last_activity": "2026-01-01T00:00:00Z"}, filters=USER,
             missing="/users/{new}/activity", missing_message=...),
    Endpoint(call="POST /users/{user}/admin-access", scopes=("servers",), lacking="start:servers", stage=MEMBER,
             filters=USER, status=403),
]  # fmt: skip

DEFAULT = ("server={user}/", *USER)
SERVERS = [
    Endpoint(call="GET /users/{user}/servers/{server}", scopes=("read:servers",), lacking="start:servers",
             stage=OWNER, filters=SERVER, missing="/users/{new}/servers/{server}"),
    Endpoint(call="GET /users/{user}/server", scopes=("read:servers",), lacking="read:users", stage=MEMBER,
             filters=DEFAULT, missing="/users/{new}/server"),
    Endpoint(call="GET /users/{user}/servers/", scopes=("read:servers",), lacking="delete:servers", stage=MEMBER,
             filters=DEFAULT, missing="/users/{user}/servers/{new}"),
    Endpoint(call="PUT /users/{user}/servers/{new}", scopes=("start:servers",), lacking="delete:servers",
             stage=MEMBER, filters=("server={user}/{new}", *USER), status=201,
             missing="/users/{new}/servers/{server}"),
    Endpoint(call="POST /users/{user}/server", scopes=("start:servers",), lacking="delete:servers", stage=MEMBER,
             filters=DEFAULT, status=201, missing="/users/{new}/server"),
    Endpoint(call="POST /users/{user}/servers/{server}", scopes=("start:servers",), lacking="read:servers",
             stage=OWNER, filters=SERVER[:1], status=201, missing="/users/{new}/servers/{server}"),
    Endpoint(call="PATCH /users/{user}/servers/{server}", scopes=("start:servers",), lacking="read:servers",
             stage=OWNER, body={"display_name": "Other"}, filters=SERVER, missing="/users/{new}/servers/{server}"),
    Endpoint(call="DELETE /users/{user}/server", scopes=("delete:servers",), lacking="start:servers", stage=MEMBER,
             filters=DEFAULT, status=204, missing="/users/{new}/server"),
    Endpoint(call="DELETE /users/{user}/servers/{server}", scopes=("delete:servers",), lacking="start:servers",
             stage=OWNER, body={"remove": True}, filters=SERVER, status=204, missing="/users/{user}/servers/{new}",
             missing_message=...),
    Endpoint(call="GET /users/{user}/servers/{server}/progress", scopes=("read:servers",), lacking="start:servers",
             stage=OWNER, filters=SERVER, status=400, missing="/users/{new}/servers/{server}/progress"),
    Endpoint(call="GET /users/{user}/server/progress", scopes=("read:servers",), lacking="access:servers",
             stage=(*MEMBER, "running"), filters=DEFAULT, missing="/users/{user}/servers/{new}/progress"),
]  # fmt: skip

TOKENS = [
    Endpoint(call="GET /users/{user}/tokens", scopes=("read:tokens",), lacking="read:users", stage=MEMBER,
             filters=USER, missing="/users/{new}/tokens", missing_message=...),
    Endpoint(call="GET /users/{user}/tokens/{token_id}", scopes=("read:tokens",), lacking="read:users",
             stage=(*MEMBER, "token"), filters=USER, missing="/users/{user}/tokens/a999999999",
             missing_message=...),
    Endpoint(call="DELETE /users/{user}/tokens/{token_id}", scopes=("tokens",), lacking="read:tokens",
             stage=(*MEMBER, "token"), filters=USER, status=204, missing="/users/{user}/tokens/odd",
             missing_message=...),
]  # fmt: skip

GROUP = ("group={group}",)
ELSEWHERE = "group={other}"
GROUPS = [
    Endpoint(call="GET /groups", scopes=("list:groups",), lacking="read:groups"),
    Endpoint(call="POST /groups", scopes=("admin:groups",), lacking="groups", body={"groups": ["{new}"]}, status=201),
    Endpoint(call="GET /groups/{group}", scopes=("read:groups", "read:groups:name", "read:roles:groups"),
             lacking="read:users:groups", stage=("group",), filters=GROUP, foreign=ELSEWHERE,
             missing="/groups/{new}", missing_message=...),
    Endpoint(call="POST /groups/{new}", scopes=("admin:groups",), lacking="groups", filters=("group={new}",),
             foreign=ELSEWHERE, status=201),
    Endpoint(call="DELETE /groups/{group}", scopes=("delete:groups",), lacking="groups", stage=("group",),
             filters=GROUP, foreign=ELSEWHERE, status=204, missing="/groups/{new}", missing_message=...),
    Endpoint(call="POST /groups/{group}/users", scopes=("groups",), lacking="read:groups", stage=("user", "group"),
             body={"users": ["{user}"]}, filters=GROUP, foreign=ELSEWHERE, missing="/groups/{new}/users",
             missing_message=...),
    Endpoint(call="DELETE /groups/{group}/users", scopes=("groups",), lacking="delete:groups", stage=MEMBER,
             body={"users": ["{user}"]}, filters=GROUP, foreign=ELSEWHERE, missing="/groups/{new}/users",
             missing_message=...),
    Endpoint(call="PUT /groups/{group}/properties", scopes=("groups",), lacking="read:groups", stage=("group",),
             body={"a": 1}, filters=GROUP, foreign=ELSEWHERE, missing="/groups/{new}/properties",
             missing_message=...),
    Endpoint(call="GET /groups/{group}/shared", scopes=("read:groups:shares",), lacking="read:groups",
             stage=("group",), filters=GROUP, foreign=ELSEWHERE, missing="/groups/{new}/shared",
             missing_message=...),
    Endpoint(call="GET /groups/{group}/shared/{user}/{server}", scopes=("read:groups:shares",),
             lacking="read:shares", stage=(*OWNER, "group share"), filters=GROUP, foreign=ELSEWHERE,
             missing="/groups/{group}/shared/{user}/{new}", missing_message=...),
    Endpoint(call="DELETE /groups/{group}/shared/{user}/{server}", scopes=("groups:shares",),
             lacking="read:groups:shares", stage=(*OWNER, "group share"), filters=GROUP, foreign=ELSEWHERE,
             status=204, missing="/groups/{group}/shared/{user}/{new}", missing_message=...),
]  # fmt: skip

SHARES = [
    Endpoint(call="GET /users/{user}/shared", scopes=("read:users:shares",), lacking="read:shares", stage=MEMBER,
             filters=USER, missing="/users/{new}/shared", missing_message=...),
    Endpoint(call="GET /users/{other}/shared/{user}/{server}", scopes=("read:users:shares",), lacking="read:shares",
             stage=SHARED, filters=("user={other}",), foreign="user={user}",
             missing="/users/{other}/shared/{user}/{new}", missing_message=...),
    Endpoint(call="DELETE /users/{other}/shared/{user}/{server}", scopes=("users:shares",),
             lacking="read:users:shares", stage=SHARED, filters=("user={other}",), foreign="user={user}",
             status=204, missing="/users/{other}/shared/{user}/{new}", missing_message=...),
    Endpoint(call="GET /shares/{user}", scopes=("read:shares",), lacking="read:users:shares", stage=SHARED,
             filters=USER, missing="/shares/{new}"),
    Endpoint(call="GET /shares/{user}/{server}", scopes=("read:shares",), lacking="users:shares", stage=SHARED,
             filters=SERVER, missing="/shares/{user}/{new}", missing_message=...),
    Endpoint(call="POST /shares/{user}/{server}", scopes=("shares",), lacking="read:shares",
             stage=(*OWNER, "other"), body={"user": "{other}"}, filters=SERVER, also=("read:users:name",),
             missing="/shares/{user}/{new}", missing_message=...),
    Endpoint(call="PATCH /shares/{user}/{server}", scopes=("shares",), lacking="read:shares", stage=SHARED,
             body={"user": "{other}"}, filters=SERVER, missing="/shares/{user}/{new}", missing_message=...),
    Endpoint(call="DELETE /shares/{user}/{server}", scopes=("shares",), lacking="users:shares", stage=SHARED,
             filters=SERVER, status=204, missing="/shares/{user}/{new}", missing_message=...),
    Endpoint(call="GET /share-codes/{user}", scopes=("read:shares",), lacking="read:users:shares", stage=CODED,
             filters=USER, missing="/share-codes/{new}"),
    Endpoint(call="GET /share-codes/{user}/{server}", scopes=("read:shares",), lacking="access:servers",
             stage=CODED, filters=SERVER, missing="/share-codes/{user}/{new}", missing_message=...),
    Endpoint(call="POST /share-codes/{user}/{server}", scopes=("shares",), lacking="read:shares", stage=OWNER,
             filters=SERVER, missing="/share-codes/{user}/{new}", missing_message=...),
    Endpoint(call="DELETE /share-codes/{user}/{server}", scopes=("shares",), lacking="read:shares", stage=CODED,
             filters=SERVER, status=204, missing="/share-codes/{user}/{new}", missing_message=...),
]  # fmt: skip

SERVICE = ("service={service}",)
OTHERS = "service={other}"
SERVICES = [
    Endpoint(call="GET /services", scopes=("list:services",), lacking="read:services"),
    Endpoint(call="GET /services/{service}", scopes=("read:services", "read:services:name", "read:roles:services"),
             lacking="access:services", stage=("service",), filters=SERVICE, foreign=OTHERS,
             missing="/services/{new}", missing_message=...),
    Endpoint(call="POST /services/{new}", scopes=("admin:services",), lacking="read:services", body={"info": {}},
             filters=("service={new}",), foreign=OTHERS, status=201),
    Endpoint(call="DELETE /services/{service}", scopes=("admin:services",), lacking="read:services",
             stage=("service",), filters=SERVICE, foreign=OTHERS, missing="/services/{new}", missing_message=...),
]  # fmt: skip

HUB = [
    Endpoint(call="GET /info", scopes=("read:hub",), lacking="read:metrics"),
    Endpoint(call="GET /proxy", scopes=("proxy",), lacking="read:hub"),
    Endpoint(call="POST /proxy", scopes=("proxy",), lacking="read:hub"),
    Endpoint(call="PATCH /proxy", scopes=("proxy",), lacking="read:hub", status=400),
    Endpoint(call="POST /shutdown", scopes=("shutdown",), lacking="proxy", body={"proxy": "maybe"}, status=400),
]  # fmt: skip

ENDPOINTS = [*USERS, *SERVERS, *TOKENS, *GROUPS, *SHARES, *SERVICES, *HUB]
