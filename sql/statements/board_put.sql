-- Makes a board. What orders or adds scores is fixed once it is made (409 by the caller, who compares); bounds,
-- windows, visibility and caching follow.
-- $1 game id, $2 name, $3 ordering, $4 operator, $5 tie, $6 windows, $7 time zone, $8 score_min, $9 score_max, $10 is_public,
-- $11 max_staleness_ms, $12 max_age_s, $13 stale_while_revalidate_s, $14 stale_if_error_s, $15 edge_max_age_s,
-- $16 only if there is none, $17 facets, $18 facet_values_max,
-- $19 synchronous_commit, $20 windows and facets that hold entries may go, $21 the schedules among the windows
with before as materialized (
    select b.facet_ids
    from ladder.board b
    where b.game_id = $1::bigint
      and b.name = $2::text
      and b.deleted_at is null
    for update
),
changed as (
    insert into ladder.board as b (game_id, name, ordering, operator, tie, windows, time_zone, score_min, score_max, is_public,
                                   max_staleness_ms, max_age_s, stale_while_revalidate_s, stale_if_error_s, edge_max_age_s,
                                   facets, facet_ids, facet_values_max, synchronous_commit, schedules)
    values ($1::bigint, $2::text, $3::ladder.score_order, $4::ladder.score_operator, $5::ladder.tie_rule,
            ladder.windows_named($6::text[], $21::text[]),
            case when ladder.local_time(now(), $7::text) is not null then $7::text end, -- 22023 for an unknown zone
            $8::bigint, $9::bigint, $10::boolean, $11::int, $12::int, $13::int, $14::int, $15::int,
            $17::text[], ladder.facet_ids($17::text[], '{}', '{}'), $18::int, $19::text, $21::text[])
    on conflict (game_id, name) where deleted_at is null do update
        set windows = ladder.windows_named($6::text[], ladder.schedules_merge(b.id, b.schedules, $21::text[])),
            schedules = ladder.schedules_merge(b.id, b.schedules, $21::text[]), score_min = excluded.score_min, score_max = excluded.score_max,
            is_public = excluded.is_public, max_staleness_ms = excluded.max_staleness_ms, max_age_s = excluded.max_age_s,
            stale_while_revalidate_s = excluded.stale_while_revalidate_s, stale_if_error_s = excluded.stale_if_error_s,
            edge_max_age_s = excluded.edge_max_age_s, facets = excluded.facets,
            facet_ids = ladder.facet_ids(excluded.facets, b.facets, b.facet_ids), facet_values_max = excluded.facet_values_max,
            synchronous_commit = excluded.synchronous_commit,
            updated_at = greatest(now(), b.updated_at + interval '1 microsecond')
        where b.ordering = excluded.ordering and b.operator = excluded.operator and b.tie = excluded.tie
          and b.time_zone = excluded.time_zone and not $16::boolean
          and ($20::boolean or not exists (select from ladder.board_loss(b.id, ladder.windows_named($6::text[], ladder.schedules_merge(b.id, b.schedules, $21::text[])),
                                                                              excluded.facets, 1)))
    returning b.*, b.xmax = 0 as is_new
),
told as (
    insert into ladder.edge_purge (game, board)
    select g.name, changed.name
    from changed
    join ladder.game g on g.id = changed.game_id
    where not changed.is_new
),
dropped as (
    insert into ladder.facet_drop (facet_id, board_id)
    select x.id, changed.id
    from changed
    cross join before
    cross join unnest(before.facet_ids) as x (id)
    where not changed.is_new
      and x.id <> all (changed.facet_ids)
)
select changed.id, changed.game_id, changed.name, changed.ordering, changed.operator, changed.tie,
       array_to_string(changed.windows, ',') as windows, changed.time_zone, changed.score_min, changed.score_max, changed.is_public,
       ladder.us_of(changed.created_at) as created_us, ladder.us_of(changed.updated_at) as updated_us, changed.max_staleness_ms,
       changed.max_age_s, changed.stale_while_revalidate_s, changed.stale_if_error_s, changed.edge_max_age_s,
       array_to_string(changed.facets, ',') as facets, array_to_string(changed.facet_ids, ',') as facet_ids, changed.facet_values_max,
       changed.synchronous_commit, array_to_string(changed.schedules, E'\n') as schedules, changed.is_new
from changed
