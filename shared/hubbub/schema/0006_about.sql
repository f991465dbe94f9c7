-- Whom and what an event is about: ids, in the order of hubbub.about. A subject may have a million events, of which
-- somebody wants the newest ten: so they stand in order in a table of their own, which is made of that column.

alter table events add column about text[] not null default '{}';

create table subjects (
    subject  text   not null,
    position bigint not null,
    type     text   not null,
    primary key (subject, position) include (type)
);
create index events_type on events (type, position);
create index events_recorded on events (recorded_at);

grant select, insert on subjects to hubbub_api, hubbub_auth;

-- What was written before: of each event what it names, and what the first of its stream names.

create function pg_temp.fields(data text) returns jsonb language plpgsql immutable as $$
begin
    return data::jsonb;
exception when others then
    return '{}';
end $$;

with read as (
    select e.position, split_part(e.stream, '-', 1) as kind, substr(e.stream, strpos(e.stream, '-') + 1) as id,
           pg_temp.fields(e.data) as own, pg_temp.fields(f.data) as first, pg_temp.fields(e.meta) as meta
    from events e left join events f on f.stream = e.stream and f.version = 1
), named as (
    select position, place, subject from read cross join lateral (values
        (0, id),
        (1, own ->> 'user'), (2, first ->> 'user'), (3, own ->> 'server'), (4, first ->> 'server'),
        (5, own ->> 'group'), (6, first ->> 'group'), (7, own ->> 'holder'), (8, first ->> 'holder'),
        (9, 'service:' || nullif(own ->> 'service', '')), (10, 'service:' || nullif(first ->> 'service', '')),
        (11, 'service:' || (first -> 'spec' ->> 'name')),
        (12, case when kind = 'server' and first ->> 'user' = '' then 'service:' || (first ->> 'name') end),
        (13, 'worker:' || nullif(own ->> 'worker', '')),
        (14, 'by:' || nullif(meta ->> 'actor', ''))
    ) as n (place, subject) where subject <> ''
), once as (
    select position, min(place) as place, subject from named group by position, subject
), gathered as (
    select position, array_agg(subject order by place) as about from once group by position
)
update events e set about = g.about from gathered g where g.position = e.position;

insert into subjects (subject, position, type) select unnest(about), position, type from events;
