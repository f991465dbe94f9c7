-- All events of a trace: from a click to the last route. The field is the one that hubbub.eventlog.Context writes.

create index events_trace on events (substring(meta from '"traceparent":"00-([0-9a-f]{32})'), position);
