"""The order in which the starts that wait in a pool are taken, as SQL; what it is for: `hubbub_api.queue`."""

# With the index `servers_queue` it is read asker by asker. What may still be there of an earlier attempt, and could be
# taken for this one on the host $2, is ended first.
_LINE = """
    select s.id, s.user_id, s.number, s.since, coalesce(s.asker, s.user_id) as asker, count(*) over () as waiting,
        row_number() over (partition by coalesce(s.asker, s.user_id) order by s.since, s.number) as turn
    from servers s where s.kind = 'Spawning' and s.holder is null and s.pool = $1
    and (coalesce(s.leftovers, 0) = 0 or not exists (
        select from json_array_elements(s.state::json -> 'leftovers') l
        where l ->> 'reach' = 'pool' or (l ->> 'reach' = 'host' and ($2 = '' or l ->> 'host' = $2))))
"""
#: The order of what `IN_ORDER` finds.
ORDER = "q.turn, q.key, q.number"
#: All that wait in the pool $1, as a worker on the host $2 has them ("": on any).
IN_ORDER = f"""
    select q.*, greatest(q.since, t.at) as key from ({_LINE}) q left join turns t on t.pool = $1 and t.asker = q.asker
"""
