-- Facts: what processes have counted (see hubbub.counting), summed up over all that there are and have been; and who
-- has told how much of it, so that nothing is added twice. `labels`: a JSON array. `about`: what it says of itself.

create table tallies (
    name    text,
    labels  text,
    counts  bigint[]         not null,
    seconds double precision not null,
    primary key (name, labels)
);

create table tellers (
    run     text primary key,
    service text        not null,
    process text        not null,
    number  bigint      not null,
    about   text        not null,
    at      timestamptz not null
);
create index tellers_at on tellers (at);

grant select, insert, update on tallies to hubbub_api, hubbub_auth;
grant select, insert, update, delete on tellers to hubbub_api, hubbub_auth;
