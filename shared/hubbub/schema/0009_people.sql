-- What the table of people (hubbub_api.people) is ordered and filtered by, where going through all would take too long.

create index activity_users on activity (at, subject) where subject like 'user:%';

-- Starts that came to nothing, and servers that ended by themselves; a server says so in its state alone.
create index servers_failed on servers (user_id)
    where kind = 'Stopped' and (state like '%"failure":{%' or state like '%"crashed":"%');
create index servers_named on servers (user_id) where name <> '';
create index grants_role on grants (role, number);
