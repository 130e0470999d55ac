-- What deleting a game removes: its boards, entries of all periods, and keys that open it.
-- $1 game id
select (select count(*) from ladder.board b where b.game_id = $1::bigint and b.deleted_at is null) as boards,
       (select count(*)
        from ladder.board b
        join ladder.period p on p.board_id = b.id and p.facet = ''
        join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind and e.period_start = p.starts_at
        where b.game_id = $1::bigint
          and b.deleted_at is null
          and not e.removed) as entries,
       (select count(*) from ladder.api_key k where k.game_id = $1::bigint and k.revoked_at is null) as keys,
       (select count(*) from ladder.webhook w where w.game_id = $1::bigint) as webhooks
