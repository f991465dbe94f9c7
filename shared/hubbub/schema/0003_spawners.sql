-- Who can get at a workload, who asked for it, and how many earlier attempts are not known to have ended.
-- Null: a process of its host; nobody in particular; none.

alter table servers add column leftovers int, add column reach text, add column asker text;

create index servers_lost on servers (pool) where holder is null and kind in ('Started', 'Running', 'Stopping');
create index servers_leftovers on servers (id) where leftovers > 0;

-- The queue of each pool, read by who asks (see hubbub_api.queue); and a fact: when somebody had a turn in it last.

create index servers_queue on servers (pool, (coalesce(asker, user_id)), since, number)
    where kind = 'Spawning' and holder is null;

create table turns (
    pool  text,
    asker text,
    at    timestamptz not null,
    primary key (pool, asker)
);
create index turns_at on turns (at);
grant select, insert, update, delete on turns to hubbub_api;
