-- Events up to a horizon may be put into an archive (see hubbub.keeping.archive). What is so at the horizon stands here,
-- signed: what is replayed begins with that.

alter table log_head add column oldest bigint not null default 1;

-- Each horizon that there was; the newest counts.

create table archives (
    position  bigint primary key,
    statement text        not null, -- JSON: what is signed
    signature text        not null,
    key       text        not null,
    folder    text        not null,
    made_at   timestamptz not null default now()
);

-- Every stream as it was at the horizon. `state` has nothing personal in it; `sealed` is the whole, under the key of the
-- person, if there is one.

create table snapshot (
    stream   text primary key,
    number   bigint not null,
    version  int    not null,
    position bigint not null,
    state    text   not null,
    person   text   not null,
    sealed   bytea
);

-- Events before the horizon that stay, since what is there now is told from them: when something was made, who asked for
-- it. `previous`: the hash that theirs is made of.

create table remains (
    position bigint primary key,
    previous bytea not null
);

grant select on archives, snapshot, remains to hubbub_api;
