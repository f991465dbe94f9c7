-- What has come from a JupyterHub: tokens that are known by its hashes alone, and since when there is what it had made.

-- Facts: tokens by JupyterHub's hash (`hashed`, which is `tokens.hash`, too), found by the first four characters until
-- somebody has used them; from then on by our own hash (`known`).
create table legacy_tokens (
    hashed text primary key,
    prefix text not null,
    known  text unique
);
create index legacy_tokens_prefix on legacy_tokens (prefix) where known is null;

-- Facts: by subject, as activity is.
create table origins (
    subject text primary key,
    at      timestamptz not null
);

grant select, update, delete on legacy_tokens to hubbub_api;
grant select, update on legacy_tokens to hubbub_auth;
grant select, delete on origins to hubbub_api;
grant select on origins to hubbub_auth;
grant insert on legacy_tokens, origins to hubbub_api;
