-- A board by name, with its game. No row: no such game; a null board id: no such board.
-- $1 game, $2 board
select g.id as game_id, b.id, b.game_id, b.name, b.ordering, b.operator, b.tie, array_to_string(b.windows, ',') as windows, b.time_zone,
       b.score_min, b.score_max, b.is_public, ladder.us_of(b.created_at) as created_us, ladder.us_of(b.updated_at) as updated_us,
       b.max_staleness_ms, b.max_age_s, b.stale_while_revalidate_s, b.stale_if_error_s, b.edge_max_age_s,
       array_to_string(b.facets, ',') as facets, array_to_string(b.facet_ids, ',') as facet_ids, b.facet_values_max, b.synchronous_commit,
       c.board_id is not null as is_combined, ladder.us_of(c.caught_up_at) as combined_us,
       g.definition
from ladder.game g
left join ladder.board b on b.game_id = g.id and b.name = $2::text and b.deleted_at is null
left join ladder.combination c on c.board_id = b.id
where g.name = $1::text
