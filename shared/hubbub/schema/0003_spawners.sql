-- Who can get at a workload, who asked for it, and how many earlier attempts are not known to have ended.
-- Null: a process of its host; nobody in particular; none.

alter table servers add column leftovers int, add column reach text, add column asker text;

create index servers_to_take on servers (pool, since) where holder is null and kind <> 'Stopped';
create index servers_leftovers on servers (id) where leftovers > 0;
