-- What pictures of starts and logins are counted from (see hubbub_api.steps), so that a month is read without its log.

create index events_figures on events (recorded_at, position) include (type, stream, version)
    where type in ('SpawnRequested', 'ServerResponded', 'SpawnFailed', 'AttemptLost', 'SessionOpened');
