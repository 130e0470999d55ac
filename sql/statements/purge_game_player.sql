-- Players' totals of a deleted game, some at a time.
-- $1 game, $2 limit
delete from ladder.player_rollup r
where (r.game_id, r.player) in (select q.game_id, q.player
                                from ladder.player_rollup q
                                where q.game_id = $1::bigint
                                limit $2::int)
