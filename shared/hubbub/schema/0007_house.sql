-- How its operators run the house: pauses, banner, workers that are being emptied (see hubbub.domain.house).

create table houses (
    id       text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null
);
grant select, insert, update, delete on houses to hubbub_api;
grant select on houses to hubbub_auth;

-- Whoever keeps it in mind is told, at the commit (see hubbub.house).

create function house_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('house', '');
    return null;
end
$$;
create trigger house_changed after insert or update or delete on houses
    for each statement execute function house_changed();
