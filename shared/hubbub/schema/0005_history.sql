-- What was so at any moment. For each row that a view has had: from which commit to which (see hubbub.history).

-- Commits are told apart by their time: it grows strictly from one to the next, whatever the clock does.

alter table log_head add column at timestamptz not null default '-infinity';
update log_head set at = (select max(recorded_at) from events) where position > 0;

create schema history;

-- Since when it is kept: of a log that is older, `hubbub rebuild` makes the rest.

create table history.beginning (
    "only" boolean primary key default true check ("only"),
    at     timestamptz not null
);
insert into history.beginning (at)
    select case when position = 0 then '-infinity' else greatest(clock_timestamp(), at + interval '1 microsecond') end
    from log_head;
update log_head set at = b.at from history.beginning b where position > 0;

-- A row is true from the commit at `began` until the one at `ended`; the one that is true now ends never. So what was
-- true of a stream at a moment is the first row of it that ended later, if it had begun.

create table history.users (
    like public.users,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);
create index users_name on history.users (name, ended);
create index users_number on history.users (number);

create table history.servers (
    like public.servers,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);

-- Whose server it is, or was. A server keeps its owner, and nothing is deleted from here: so it is found however long
-- its history is.

create table history.server_ids (
    id      text primary key,
    user_id text not null
);
create index server_ids_user on history.server_ids (user_id);

-- All that were active at a moment: of those that are still so there are few, the others are found by their ranges.

create index servers_active on history.servers (number) where ended = 'infinity' and kind <> 'Stopped';
create index servers_were_active on history.servers using gist (tstzrange(began, ended))
    where ended < 'infinity' and kind <> 'Stopped';

create table history.routes (
    like public.routes,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);
create index routes_server on history.routes (server, attempt, ended);
create index routes_now on history.routes (number) where ended = 'infinity';
create index routes_then on history.routes using gist (tstzrange(began, ended)) where ended < 'infinity';

create table history.groups (
    like public.groups,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);
create index groups_name on history.groups (name, ended);
create index groups_number on history.groups (number);

create table history.members (
    like public.members,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);
create index members_user on history.members (user_id, group_id, ended);
create index members_group on history.members (group_id, ended);

create table history.grants (
    like public.grants,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);
create index grants_holder on history.grants (holder, kind, ended);

create table history.proxies (
    like public.proxies,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);
create table history.proxy_ids (
    id text primary key
);

create table history.services (
    like public.services,
    began timestamptz not null,
    ended timestamptz not null default 'infinity',
    primary key (id, ended)
);

-- How many users there were: since `began`, so many.

create table history.counts (
    what   text,
    began  timestamptz,
    number bigint not null,
    primary key (what, began)
);

-- What is so now begins with the history.

insert into history.users select v.*, b.at from users v, history.beginning b;
insert into history.servers select v.*, b.at from servers v, history.beginning b;
insert into history.server_ids select id, user_id from servers;
insert into history.routes select v.*, b.at from routes v, history.beginning b;
insert into history.groups select v.*, b.at from groups v, history.beginning b;
insert into history.members select v.*, b.at from members v, history.beginning b;
insert into history.grants select v.*, b.at from grants v, history.beginning b;
insert into history.proxies select v.*, b.at from proxies v, history.beginning b;
insert into history.proxy_ids select id from proxies;
insert into history.services select v.*, b.at from services v, history.beginning b;
insert into history.counts select what, b.at, number from counts, history.beginning b;

grant usage on schema history to hubbub_api, hubbub_auth;
grant select, insert, update, delete on all tables in schema history to hubbub_api;
grant select, insert, update, delete on
    history.users, history.groups, history.members, history.grants, history.counts to hubbub_auth;
grant select on counts to hubbub_auth;

-- The tables as they were at the moment `hubbub.as_of`, when the log had got to `hubbub.position`: what reads the ones
-- of today reads these if they come first in its search_path.

create schema past;

create view past.users as
    select id, number, version, position, state, name, admin from history.users
    where began <= (select current_setting('hubbub.as_of')::timestamptz)
      and ended > (select current_setting('hubbub.as_of')::timestamptz)
      and number <= (select current_setting('hubbub.position')::bigint);

-- By the id of each, that one row: however often it was started.

create view past.servers as
    select i.id, h.number, h.version, h.position, h.state, i.user_id, h.name, h.display_name, h.kind, h.attempt, h.since,
           h.pool, h.holder, h.host, h.prefix, h.url, h.token, h.deadline, h.leftovers, h.reach, h.asker
    from history.server_ids i cross join lateral (
        select * from history.servers s
        where s.id = i.id and s.ended > (select current_setting('hubbub.as_of')::timestamptz)
        order by s.ended limit 1
    ) h where h.began <= (select current_setting('hubbub.as_of')::timestamptz);

-- Those that are not stopped, and those that were not: found by time.

create view active_servers as select * from servers where kind <> 'Stopped';
grant select on active_servers to hubbub_api;

create view past.active_servers as
    select id, number, version, position, state, user_id, name, display_name, kind, attempt, since, pool, holder, host,
           prefix, url, token, deadline, leftovers, reach, asker
    from history.servers where ended = 'infinity' and kind <> 'Stopped'
        and began <= (select current_setting('hubbub.as_of')::timestamptz)
    union all
    select id, number, version, position, state, user_id, name, display_name, kind, attempt, since, pool, holder, host,
           prefix, url, token, deadline, leftovers, reach, asker
    from history.servers where ended < 'infinity' and kind <> 'Stopped'
        and tstzrange(began, ended) @> (select current_setting('hubbub.as_of')::timestamptz);

create view past.routes as
    select id, number, version, position, state, proxy, server, attempt, target
    from history.routes where ended = 'infinity'
        and began <= (select current_setting('hubbub.as_of')::timestamptz)
    union all
    select id, number, version, position, state, proxy, server, attempt, target
    from history.routes where ended < 'infinity'
        and tstzrange(began, ended) @> (select current_setting('hubbub.as_of')::timestamptz);

create view past.groups as
    select id, number, version, position, state, name from history.groups
    where began <= (select current_setting('hubbub.as_of')::timestamptz)
      and ended > (select current_setting('hubbub.as_of')::timestamptz);

create view past.members as
    select id, number, version, position, state, group_id, user_id from history.members
    where began <= (select current_setting('hubbub.as_of')::timestamptz)
      and ended > (select current_setting('hubbub.as_of')::timestamptz);

create view past.grants as
    select id, number, version, position, state, role, kind, holder, source from history.grants
    where began <= (select current_setting('hubbub.as_of')::timestamptz)
      and ended > (select current_setting('hubbub.as_of')::timestamptz);

create view past.proxies as
    select i.id, h.number, h.version, h.position, h.state
    from history.proxy_ids i cross join lateral (
        select * from history.proxies p
        where p.id = i.id and p.ended > (select current_setting('hubbub.as_of')::timestamptz)
        order by p.ended limit 1
    ) h where h.began <= (select current_setting('hubbub.as_of')::timestamptz);

create view past.services as
    select id, number, version, position, state, name, client from history.services
    where began <= (select current_setting('hubbub.as_of')::timestamptz)
      and ended > (select current_setting('hubbub.as_of')::timestamptz);

create view past.counts as
    select what, number from (
        select 'users'::text as what, (
            select c.number from history.counts c
            where c.what = 'users' and c.began <= (select current_setting('hubbub.as_of')::timestamptz)
            order by c.began desc limit 1
        ) as number
    ) c;

-- Facts, and what only the vault has, have no past.

create view past.activity as select subject, at from public.activity where false;
create view past.vault as select key, value from public.vault where false;

grant usage on schema past to hubbub_api;
grant select on all tables in schema past to hubbub_api;
