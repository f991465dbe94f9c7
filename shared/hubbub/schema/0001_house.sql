-- The log: the only truth. Append-only by grant; positions are gap-free and equal commit order, because
-- whoever appends holds the one row of log_head until the commit.

create table log_head (
    "only"   boolean primary key default true check ("only"),
    epoch    text   not null,
    position bigint not null,
    hash     bytea  not null
);
insert into log_head (epoch, position, hash) values (replace(gen_random_uuid()::text, '-', ''), 0, '');

create table events (
    position       bigint primary key,
    stream         text        not null,
    version        int         not null,
    type           text        not null,
    schema_version int         not null default 1,
    data           text        not null,
    meta           text        not null,
    command_id     text        not null,
    recorded_at    timestamptz not null,
    hash           bytea       not null,
    unique (stream, version)
);
create index events_command on events (command_id);

-- Views: each row is a function of its stream, so each can be dropped and replayed. `number` is the
-- position of the stream's first event: the small, ever-growing number that people and clients see.

create table users (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    name     text   not null unique deferrable initially immediate,
    admin    boolean not null
);
create index users_number on users (number);

create table servers (
    id           text primary key,
    number       bigint not null,
    version      int    not null,
    position     bigint not null,
    state        text   not null,
    user_id      text   not null,
    name         text   not null,
    display_name text   not null,
    kind         text   not null,
    attempt      int    not null,
    since        timestamptz,
    pool         text,
    holder       text,
    host         text,
    prefix       text,
    url          text,
    token        text,
    deadline     timestamptz,
    unique (user_id, name)
);
create index servers_active on servers (kind, number) where kind <> 'Stopped';
create index servers_holder on servers (holder) where holder is not null;

create table tokens (
    id         text primary key,
    number     bigint not null,
    version    int    not null,
    position   bigint not null,
    state      text   not null,
    hash       text   not null unique,
    user_id    text   not null,
    service    text   not null,
    client     text   not null,
    session    text   not null,
    server     text   not null,
    expires_at timestamptz
);
create index tokens_user on tokens (user_id);
create index tokens_session on tokens (session) where session <> '';
create index tokens_server on tokens (server) where server <> '';
create index tokens_client on tokens (client);
create index tokens_expiry on tokens (expires_at) where expires_at is not null;
create index tokens_number on tokens (number);

create table sessions (
    id         text primary key,
    number     bigint not null,
    version    int    not null,
    position   bigint not null,
    state      text   not null,
    hash       text   not null unique,
    user_id    text   not null,
    expires_at timestamptz not null
);
create index sessions_user on sessions (user_id);

create table codes (
    id         text primary key,
    number     bigint not null,
    version    int    not null,
    position   bigint not null,
    state      text   not null,
    hash       text   not null unique,
    user_id    text   not null,
    expires_at timestamptz not null
);

create table routes (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    proxy    text   not null,
    server   text   not null,
    attempt  int    not null,
    target   text   not null
);
create index routes_server on routes (server);
create index routes_proxy on routes (proxy);

create table proxies (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null
);

-- The vault: what must be remembered but never shown in the log. Written in the same transaction.

create table person_keys (
    person text primary key,
    key    bytea not null
);

create table vault (
    key   text primary key,
    value bytea not null
);

-- Facts: neither in the log nor replayable; losing one loses nothing that was promised.

create table activity (
    subject text primary key,
    at      timestamptz not null
);

create table leases (
    name   text primary key,
    holder text not null,
    until  timestamptz not null
);

create table instances (
    name    text primary key,
    service text not null,
    about   text not null,
    seen_at timestamptz not null
);

create table login_attempts (
    name    text not null,
    address text not null,
    at      timestamptz not null default now()
);
create index login_attempts_at on login_attempts (at);

create table bookmarks (
    reader   text primary key,
    position bigint not null,
    about    text   not null
);

-- Each service gets what it needs. Nobody may change or delete an event.

grant usage on schema public to hubbub_api, hubbub_auth;
grant select on migrations to hubbub_api, hubbub_auth;
grant select, update on log_head to hubbub_api, hubbub_auth;
grant select, insert on events to hubbub_api, hubbub_auth;
grant select, insert, update, delete on
    users, servers, tokens, sessions, codes, routes, proxies, person_keys, vault, activity, leases,
    instances, bookmarks to hubbub_api;
grant select on login_attempts to hubbub_api;
grant select, insert, update, delete on users, tokens, sessions, codes, person_keys, instances,
    login_attempts to hubbub_auth;
grant select on servers, routes, proxies to hubbub_auth;
grant select, insert, update on activity to hubbub_auth;
