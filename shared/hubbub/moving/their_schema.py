"""The tables of JupyterHub 6.1.1 that are filled on the way back. It makes those that are missing by itself."""

from hubbub.moving.source import HEAD

_ID = "id integer not null primary key"
_MAP = "managed_by_auth boolean not null, primary key ({0}_id, role_id)"


def _of(column: str, table: str, rule: str = "cascade", key: str = "id", kind: str = "integer") -> str:
    return f"{column} {kind} references {table} ({key}) on delete {rule}"


_CLIENT = {"key": "identifier", "kind": "varchar(255)"}

TABLES = {
    "alembic_version": "version_num varchar(32) not null primary key",
    "servers": f"{_ID}, proto varchar(15), ip varchar(255), port integer, base_url varchar(255),"
    " cookie_name varchar(255)",
    "roles": f"{_ID}, name varchar(255) unique, description varchar(1023), scopes text,"
    " managed_by_auth boolean not null",
    "groups": f"{_ID}, name varchar(255) unique, properties text",
    "users": f"{_ID}, name varchar(255) unique, user_info text, admin boolean, created datetime,"
    " last_activity datetime, cookie_id varchar(255) not null unique, state text, encrypted_auth_state blob",
    "oauth_clients": f"{_ID}, identifier varchar(255) unique, description varchar(1023), secret varchar(255),"
    " redirect_uri varchar(1023), allowed_scopes text",
    "user_role_map": f"user_id integer not null references users (id) on delete cascade,"
    f" role_id integer not null references roles (id) on delete cascade, {_MAP.format('user')}",
    "group_role_map": f"group_id integer not null references groups (id) on delete cascade,"
    f" role_id integer not null references roles (id) on delete cascade, {_MAP.format('group')}",
    "user_group_map": "user_id integer not null references users (id) on delete cascade,"
    " group_id integer not null references groups (id) on delete cascade, primary key (user_id, group_id)",
    "spawners": f"{_ID}, {_of('user_id', 'users')}, {_of('server_id', 'servers', 'set null')}, state text,"
    " name varchar(255), display_name varchar(255), started datetime, last_activity datetime, user_options text,"
    f" {_of('oauth_client_id', 'oauth_clients', 'set null', **_CLIENT)}",
    "services": f"{_ID}, name varchar(255) unique, admin boolean, url varchar(2047),"
    " oauth_client_allowed_scopes text, info text, display boolean, oauth_no_confirm boolean, command text,"
    " cwd varchar(4095), environment text, user varchar(255), timeout integer not null, from_config boolean,"
    f" {_of('_server_id', 'servers', 'set null')}, pid integer,"
    f" {_of('oauth_client_id', 'oauth_clients', 'set null', **_CLIENT)}",
    "shares": f"{_ID}, {_of('user_id', 'users')}, {_of('group_id', 'groups')}, created_at datetime not null,"
    f" scopes text, expires_at datetime, {_of('owner_id', 'users')}, {_of('spawner_id', 'spawners')}",
    "api_tokens": f"{_ID}, {_of('user_id', 'users')}, {_of('service_id', 'services')}, hashed varchar(255) unique,"
    f" prefix varchar(16), {_of('client_id', 'oauth_clients', **_CLIENT)}, session_id varchar(255),"
    " created datetime, expires_at datetime, last_activity datetime, note varchar(1023), scopes text",
}
_MORE = ("create index ix_api_tokens_prefix on api_tokens (prefix)", f"insert into alembic_version values ('{HEAD}')")

STATEMENTS = (*(f"create table {name} ({columns})" for name, columns in TABLES.items()), *_MORE)
