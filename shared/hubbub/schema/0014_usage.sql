-- What was used by whom is added up from the history of servers (hubbub.usage): from the rows that have an address,
-- which a server has from when it was started until it has ended. Read from this index alone; of one person, from a
-- part of it.

alter table servers add column profile text;
alter table history.servers add column profile text;

create index servers_used on history.servers (user_id, ended, began) include (id, attempt, pool, profile)
    where url is not null and user_id <> '';

-- The profile that was chosen for the newest start stands in the state. Releases that do not know of it write rows, too.

create function profile_in_state() returns trigger language plpgsql as $$
begin
    new.profile := new.state::json ->> 'profile';
    return new;
end
$$;
create trigger servers_profile before insert or update on servers
    for each row when (new.state like '%"profile":%' or new.profile is not null)
    execute function profile_in_state();
create trigger servers_profile before insert or update on history.servers
    for each row when (new.state like '%"profile":%' or new.profile is not null)
    execute function profile_in_state();

create or replace view active_servers as select * from servers where kind <> 'Stopped';

create or replace view past.servers as
    select i.id, h.number, h.version, h.position, h.state, i.user_id, h.name, h.display_name, h.kind, h.attempt, h.since,
           h.pool, h.holder, h.host, h.prefix, h.url, h.token, h.deadline, h.leftovers, h.reach, h.asker, h.profile
    from history.server_ids i cross join lateral (
        select * from history.servers s
        where s.id = i.id and s.ended > (select current_setting('hubbub.as_of')::timestamptz)
        order by s.ended limit 1
    ) h where h.began <= (select current_setting('hubbub.as_of')::timestamptz);

create or replace view past.active_servers as
    select id, number, version, position, state, user_id, name, display_name, kind, attempt, since, pool, holder, host,
           prefix, url, token, deadline, leftovers, reach, asker, profile
    from history.servers where ended = 'infinity' and kind <> 'Stopped'
        and began <= (select current_setting('hubbub.as_of')::timestamptz)
    union all
    select id, number, version, position, state, user_id, name, display_name, kind, attempt, since, pool, holder, host,
           prefix, url, token, deadline, leftovers, reach, asker, profile
    from history.servers where ended < 'infinity' and kind <> 'Stopped'
        and tstzrange(began, ended) @> (select current_setting('hubbub.as_of')::timestamptz);
