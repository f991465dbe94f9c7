-- Groups, roles that somebody holds, shares, services registered while the hub runs; answers kept for repetition.

create table groups (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    name     text   not null unique
);
create index groups_number on groups (number);

create table members (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    group_id text   not null,
    user_id  text   not null
);
create index members_user on members (user_id, group_id);
create index members_group on members (group_id, number);

create table grants (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    role     text   not null,
    kind     text   not null,
    holder   text   not null,
    source   text   not null
);
create index grants_holder on grants (holder, kind);

create table shares (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    server   text   not null,
    user_id  text   not null,
    group_id text   not null
);
create index shares_server on shares (server, number);
create index shares_user on shares (user_id, number) where user_id <> '';
create index shares_group on shares (group_id, number) where group_id <> '';

create table share_codes (
    id         text primary key,
    number     bigint not null,
    version    int    not null,
    position   bigint not null,
    state      text   not null,
    hash       text   not null unique,
    server     text   not null,
    expires_at timestamptz not null
);
create index share_codes_server on share_codes (server, number);
create index share_codes_expiry on share_codes (expires_at);

create table services (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    name     text   not null unique,
    client   text   not null
);
create unique index services_client on services (client) where client <> '';

create index tokens_service on tokens (service) where service <> '';

-- How many rows a view has, kept by the view itself: a list says how long it is without counting.

create table counts (
    what   text primary key,
    number bigint not null
);
insert into counts values ('users', (select count(*) from users));

create function count_users() returns trigger language plpgsql security definer set search_path = public as $$
begin
    if tg_op = 'INSERT' then
        update counts set number = number + (select count(*) from changed) where what = 'users';
    else
        update counts set number = number - (select count(*) from changed) where what = 'users';
    end if;
    return null;
end
$$;
create trigger users_more after insert on users
    referencing new table as changed for each statement execute function count_users();
create trigger users_less after delete on users
    referencing old table as changed for each statement execute function count_users();
grant select on counts to hubbub_api;

-- Facts: what was answered to a request with an Idempotency-Key, readable only with that key; kept for a day.

create table answers (
    key         text primary key,
    fingerprint bytea       not null,
    answer      bytea       not null,
    at          timestamptz not null default now()
);
create index answers_at on answers (at);

-- Facts: which configuration was settled last.

create table settled (
    section text primary key,
    hash    text not null
);

grant select, insert, update, delete on
    groups, members, grants, shares, share_codes, services, answers, settled to hubbub_api;
grant select on groups, members, grants, shares, share_codes, services to hubbub_auth;
