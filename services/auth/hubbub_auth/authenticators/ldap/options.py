"""The options of LDAPAuthenticator: those of jupyterhub-ldapauthenticator by the same names, and a few of ours."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from traitlets import Bool, CaselessStrEnum, Dict, Integer, List, TraitError, Unicode, Union, observe, validate

from hubbub_auth.authenticators.authenticator import Authenticator
from hubbub_auth.authenticators.ldap import spelling
from hubbub_auth.authenticators.ldap.directory import Directory

_PORTS = {"on_connect": 636}
_USUAL_PORT = 389

#: Options that are templates, and the names in braces that each may have.
TEMPLATES = {
    "bind_dn_template": {"username"},
    "lookup_dn_search_filter": {"login_attr", "login"},
    "search_filter": {"userattr", "username"},
    "group_search_filter": {"userdn", "uid"},
}


class LDAPOptions(Authenticator):
    """What an operator may say of a directory. Raises TraitError for what does not fit together."""

    server_address: Any = Union(
        [List(Unicode()), Unicode()], help="The server, or servers that know the same: `host` or `host:port`."
    ).tag(config=True)
    server_port = Integer(0, help="The port where none is named. 0: 636 with `on_connect`, else 389.").tag(config=True)
    tls_strategy = CaselessStrEnum(
        ["before_bind", "on_connect", "insecure"],
        "before_bind",
        help="TLS by STARTTLS, from the beginning, or none: then passwords can be read on their way.",
    ).tag(config=True)
    use_ssl = Bool(None, allow_none=True, help="The former way to say `tls_strategy = 'on_connect'`.").tag(config=True)
    tls_kwargs = Dict(
        help="For ldap3's Tls, as `ca_certs_file`. The server's certificate is checked unless `validate` says no."
    ).tag(config=True)
    connect_timeout = Integer(5, min=1, help="Seconds for a connection, before the next server is tried.").tag(
        config=True
    )
    receive_timeout = Integer(10, min=1, help="Seconds for each answer.").tag(config=True)
    executor_threads = Integer(4, min=1, help="How many logins the directory is asked about at once.").tag(config=True)

    bind_dn_template: Any = Union(
        [List(Unicode()), Unicode()], help="As `uid={username},ou=people,dc=example,dc=org`; or several to be tried."
    ).tag(config=True)
    lookup_dn = Bool(False, help="Find people by a search instead.").tag(config=True)
    lookup_dn_search_filter = Unicode("({login_attr}={login})", help="The search for them.").tag(config=True)
    lookup_dn_search_user = Unicode(
        None, allow_none=True, help="Who searches, as a DN: for `lookup_dn`, and for `refresh_user`. None: nobody."
    ).tag(config=True)
    lookup_dn_search_password = Unicode(None, allow_none=True, help="Their password.").tag(config=True)
    lookup_dn_user_dn_attribute = Unicode(
        None, allow_none=True, help="Stands for {username} and {uid} elsewhere; like `user_attribute` if not set."
    ).tag(config=True)
    use_lookup_dn_username = Bool(False, help="It is their name in the hub, too.").tag(config=True)
    user_search_base = Unicode(None, allow_none=True, help="Below which DN people are.").tag(config=True)
    user_attribute = Unicode(None, allow_none=True, help="Which attribute has what people type.").tag(config=True)
    valid_username_regex = Unicode(r"^[a-z][.a-z0-9_-]*$", help="What people type has to match it at its start.").tag(
        config=True
    )
    search_filter = Unicode(help="Who does not fit it cannot log in, whatever else says so.").tag(config=True)
    attributes = List(Unicode(), help="Has no effect any more: only whether something is found is looked at.").tag(
        config=True
    )

    allowed_groups = List(
        Unicode(), None, allow_none=True, help="DNs of groups: who is in one of them may log in."
    ).tag(config=True)
    admin_groups = List(
        Unicode(), help="DNs of groups: who is in one of them is an administrator, and nobody else but `admin_users`."
    ).tag(config=True)
    group_search_filter = Unicode(
        "(|(member={userdn})(uniqueMember={userdn})(memberUid={uid}))", help="The groups that somebody is in."
    ).tag(config=True)
    group_attributes = List(
        Unicode(), ["member", "uniqueMember", "memberUid"], help="Has no effect any more: no members are read."
    ).tag(config=True)
    group_search_base = Unicode(
        None, allow_none=True, help="With `manage_groups`: below which DN there are groups that the hub shall know."
    ).tag(config=True)
    group_name_attribute = Unicode("cn", help="What such a group is called in the hub.").tag(config=True)
    auth_state_attributes = List(Unicode(), help="Kept in `auth_state['user_attributes']`.").tag(config=True)

    @validate("server_address", "bind_dn_template")
    def _as_list(self, proposal: Any) -> list[str]:
        value = proposal["value"]
        return [text for text in ([value] if isinstance(value, str) else value) if text]

    @observe("use_ssl")
    def _former_way(self, change: Any) -> None:
        if change["new"]:
            self.tls_strategy = "on_connect"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.directory = Directory(
            servers=self._servers(),
            tls=self.tls_strategy,
            tls_options=dict(self.tls_kwargs),
            connect_timeout=self.connect_timeout,
            receive_timeout=self.receive_timeout,
        )
        self._check()

    def _servers(self) -> Sequence[tuple[str, int]]:
        usual = self.server_port or _PORTS.get(self.tls_strategy, _USUAL_PORT)
        return [_host_and_port(text, usual) for text in self.server_address]

    def _check(self) -> None:
        if not self.server_address:
            raise TraitError("server_address has to name the directory's server")
        if not self.lookup_dn and not self.bind_dn_template:
            raise TraitError("either bind_dn_template is needed, or lookup_dn = True")
        for needs in ("lookup_dn", "search_filter"):
            if getattr(self, needs) and not (self.user_search_base and self.user_attribute):
                raise TraitError(f"{needs} needs user_search_base and user_attribute")
        if self.lookup_dn_search_user and not self.lookup_dn_search_password:
            raise TraitError("lookup_dn_search_user needs lookup_dn_search_password")
        if self.manage_groups and not (self.group_search_base or self.allowed_groups or self.admin_groups):
            raise TraitError("manage_groups needs group_search_base, or at least allowed_groups or admin_groups")
        for option, fields in TEMPLATES.items():
            self._check_template(option, fields)
        try:
            re.compile(self.valid_username_regex)
        except re.error as error:
            raise TraitError(f"valid_username_regex is no regular expression: {error}") from error
        try:
            self.directory.check()
        except Exception as error:  # the library's own, and whatever TLS says to files
            raise TraitError(f"tls_kwargs cannot be used: {error}") from error

    def _check_template(self, option: str, fields: set[str]) -> None:
        value = getattr(self, option)
        for template in [value] if isinstance(value, str) else value:
            try:
                odd = spelling.fields_of(template) - fields
            except ValueError as error:
                raise TraitError(f"{option} is {template!r}: {error}") from error
            if odd:
                raise TraitError(f"{option} is {template!r}: in braces there may be {_listed(fields)} only")


def _listed(fields: set[str]) -> str:
    return " and ".join(sorted(fields))


def _host_and_port(text: str, usual: int) -> tuple[str, int]:
    with suppress(ValueError):
        parts = urlsplit(f"//{text}")
        if parts.hostname and not parts.path and parts.username is None:
            return parts.hostname, parts.port or usual
    raise TraitError(f"server_address is {text!r}, which is not `host` or `host:port`")
