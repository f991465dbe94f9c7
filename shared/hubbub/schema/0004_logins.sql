-- What a login brings: groups and roles of the person, and what its authenticator wants to be kept.

create table roles (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null
);

-- Those who log in by a password that the hub keeps. Its hash is in the vault.

create table accounts (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    name     text   not null unique,
    approved boolean not null
);
create index accounts_number on accounts (number);
create index accounts_waiting on accounts (number) where not approved;

-- How often somebody has signed up from an address within the last hour: a fact, to slow that down.

create table sign_ups (
    address text not null,
    at      timestamptz not null
);
create index sign_ups_address on sign_ups (address, at);
create index sign_ups_at on sign_ups (at);
grant select, insert, delete on sign_ups to hubbub_auth;

grant select, insert, update, delete on roles, accounts to hubbub_api, hubbub_auth;
grant insert, update, delete on groups, members, grants to hubbub_auth;
grant select, insert, update on settled to hubbub_auth;

-- auth may see and change of the vault only what logins are about.

grant select, insert, update, delete on vault to hubbub_auth;
alter table vault enable row level security;
create policy vault_of_api on vault to hubbub_api using (true);
create policy vault_of_auth on vault to hubbub_auth
    using (key like 'auth\_state:%' or key like 'user\_info:%' or key like 'password:%');

-- Facts: when an authenticator last vouched for somebody; and why a login failed.

create table vouched (
    user_id  text primary key,
    at       timestamptz not null,
    asked_at timestamptz -- an auth is asking at the moment, since then
);
grant select, insert, update, delete on vouched to hubbub_api, hubbub_auth;

-- Whom the authenticator will not have any more (`delete_invalid_users`): an api deletes them.
create table refused (
    user_id text primary key
);
grant insert on refused to hubbub_auth;
grant select, delete on refused to hubbub_api;

-- `name` is a keyed hash of what was typed, which may have been a password; `user_id` whose name it was, if anybody's;
-- `device` the browser, if the name had been logged in by there before.
alter table login_attempts
    add column why     text not null default '',
    add column user_id text not null default '',
    add column device  text not null default '';
create index login_attempts_name on login_attempts (name, at);
create index login_attempts_address on login_attempts (address, at);
create index login_attempts_user on login_attempts (user_id, at) where user_id <> '';
grant delete on login_attempts to hubbub_api;

-- When a session was used last is a fact like other activity.

insert into activity (subject, at) select 'session:' || id, now() from sessions;
create index sessions_expiry on sessions (expires_at);
create index activity_sessions on activity (at) where subject like 'session:%';
grant delete on activity to hubbub_auth;

-- The logins of a person, newest first (see hubbub_api.sessions).

create index events_logins on events ((data::jsonb ->> 'user'), position) where type = 'SessionOpened';

-- Two names look the same if this is the same of both: other spellings of the same letters (NFKD), letters of other
-- alphabets in the shape of Latin ones, characters that nobody sees. A login makes nobody who looks like somebody else.

create function look(name text) returns text language sql immutable strict parallel safe as $$
    select replace(translate(lower(normalize(name, NFKD)),
        U&'\0430\0435\043e\0440\0441\0443\0445\0456\0458\0455\0501\04bb\051b\051d\04cf\0475'
        '\03b1\03b9\03bd\03bf\03c1\03c5\0585\057d\0570\0131\0251\0261\0237'
        '\00ad\034f\115f\1160\17b4\17b5\180b\180c\180d\180f\200b\200c\200d\2060\2800\3164\feff\ffa0'
        '\fe00\fe01\fe02\fe03\fe04\fe05\fe06\fe07\fe08\fe09\fe0a\fe0b\fe0c\fe0d\fe0e\fe0f',
        'aeopcyxijsdhqwlvaivopuouhiagj'), U&'i\0307', 'i')
$$;
create index users_look on users (look(name));

-- Authenticators of others may keep tables of their own, and look up people as JupyterHub's table has them.

create schema plugins;
create view plugins.users as
    select u.number as id, u.name, u.admin, e.recorded_at at time zone 'UTC' as created,
           a.at at time zone 'UTC' as last_activity, u.id as cookie_id,
           '{}'::text as state, null::bytea as encrypted_auth_state, '{}'::text as user_info
    from users u left join events e on e.position = u.number left join activity a on a.subject = 'user:' || u.id;
create view plugins.groups as select number as id, name, '{}'::text as properties from groups;
create view plugins.user_group_map as
    select u.number as user_id, g.number as group_id
    from members m join users u on u.id = m.user_id join groups g on g.id = m.group_id;

-- Whoever looks for a user looks for these besides. There is nothing in them that an authenticator needs.

create view plugins.roles as
    select 0 as id, '' as name, '' as description, '[]' as scopes, false as managed_by_auth where false;
create view plugins.user_role_map as select 0 as user_id, 0 as role_id, false as managed_by_auth where false;
create view plugins.group_role_map as select 0 as group_id, 0 as role_id, false as managed_by_auth where false;
create view plugins.shares as
    select 0 as id, 0 as owner_id, 0 as spawner_id, 0 as user_id, 0 as group_id, '[]' as scopes,
           now()::timestamp as created_at, now()::timestamp as expires_at where false;
create view plugins.servers as
    select 0 as id, '' as proto, '' as ip, 0 as port, '' as base_url, '' as cookie_name where false;
create view plugins.spawners as
    select 0 as id, 0 as user_id, 0 as server_id, '{}' as state, '' as name, '' as display_name,
           now()::timestamp as started, now()::timestamp as last_activity, '{}' as user_options,
           '' as oauth_client_id where false;

grant usage, create on schema plugins to hubbub_auth;
grant select on all tables in schema plugins to hubbub_auth;
