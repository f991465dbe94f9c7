-- When to look again whether a server that runs is to be stopped (see hubbub_api.culling): facts, which may be lost.

create table culls (
    server  text primary key,
    attempt int         not null,
    look_at timestamptz not null
);
create index culls_look_at on culls (look_at);

-- Since when sweeps have gone on without a break: who was not heard of before that may have been there all the same.

create table hearing (
    "only" boolean primary key default true check ("only"),
    since  timestamptz not null,
    at     timestamptz not null
);

grant select, insert, update, delete on culls, hearing to hubbub_api;
