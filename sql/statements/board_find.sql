-- A board by name, with its game. No row: no such game; a null board id: no such board. Of one that is made of others, its standing too,
-- a position that covers its entries, and what time it is.
-- $1 game, $2 board
select g.id as game_id, b.id, b.game_id, b.name, b.ordering, b.operator, b.tie, array_to_string(b.windows, ',') as windows, b.time_zone,
       b.score_min, b.score_max, b.is_public, ladder.us_of(b.created_at) as created_us, ladder.us_of(b.updated_at) as updated_us,
       b.max_staleness_ms, b.max_age_s, b.stale_while_revalidate_s, b.stale_if_error_s, b.edge_max_age_s,
       array_to_string(b.facets, ',') as facets, array_to_string(b.facet_ids, ',') as facet_ids, b.facet_values_max, b.synchronous_commit,
       array_to_string(b.schedules, E'\n') as schedules,
       c.board_id is not null as is_combined, ladder.us_of(c.caught_up_at) as combined_us,
       g.definition, p.id as combined_standing,
       case when c.board_id is null then null
            when pg_is_in_recovery() then (pg_last_wal_replay_lsn() - '0/0')::bigint
            else (pg_current_wal_flush_lsn() - '0/0')::bigint end as lsn,
       ladder.us_of(clock_timestamp()) as at_us
from ladder.game g
left join ladder.board b on b.game_id = g.id and b.name = $2::text and b.deleted_at is null
left join ladder.combination c on c.board_id = b.id
left join ladder.period p on p.board_id = c.board_id and p.window_kind = 'all' and p.facet = ''
where g.name = $1::text
