-- $1 game id, $2 after this name, $3 limit
select b.id, b.game_id, b.name, b.ordering, b.operator, b.tie, array_to_string(b.windows, ',') as windows, b.time_zone,
       b.score_min, b.score_max, b.is_public, ladder.us_of(b.created_at) as created_us, ladder.us_of(b.updated_at) as updated_us,
       b.max_staleness_ms, b.max_age_s, b.stale_while_revalidate_s, b.stale_if_error_s, b.edge_max_age_s,
       array_to_string(b.facets, ',') as facets, array_to_string(b.facet_ids, ',') as facet_ids, b.facet_values_max, b.synchronous_commit,
       array_to_string(b.schedules, E'\n') as schedules
from ladder.board b
where b.game_id = $1::bigint
  and b.name > $2::text
  and b.deleted_at is null
order by b.name
limit $3::int
