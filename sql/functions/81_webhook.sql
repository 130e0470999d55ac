-- The messages to games' webhooks.

-- time_text: an instant as the API spells it.
create or replace function ladder.time_text(at timestamptz)
    returns text
    language sql
    stable
as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
           || rtrim(rtrim(to_char(at at time zone 'UTC', '.US'), '0'), '.') || 'Z'
$$;
comment on function ladder.time_text(timestamptz) is 'An instant in RFC 3339, in UTC, as the API spells it.';

-- webhook_message: what a delivery says. Made when it is sent: of a closed period nothing can change but that somebody is
-- erased, and then he is not to be told of any more. Null: the board is gone.
create or replace function ladder.webhook_message(p_delivery bigint)
    returns text
    language sql
    stable
    set search_path = pg_catalog
as $$
    select case when d.period_id is null then
               json_build_object('type', 'test', 'timestamp', ladder.time_text(d.created_at), 'data', json_build_object('game', g.name))
           else
               json_build_object(
                   'type', 'period.closed',
                   'timestamp', ladder.time_text(p.closed_at),
                   'data', json_build_object(
                       'game', g.name, 'board', b.name, 'window', ladder.window_title(p.window_kind, b.schedules),
                       'period', ladder.time_text(p.starts_at), 'starts_at', ladder.time_text(p.starts_at),
                       'ends_at', ladder.time_text(p.ends_at), 'closed_at', ladder.time_text(p.closed_at),
                       'entries', p.final_count - (select count(*) from ladder.final_gap f where f.period_id = p.id),
                       'top', (select coalesce(json_agg(json_build_object(
                                          'rank', t.rank, 'player', t.player,
                                          'score', case b.ordering when 'desc' then ~t.k1 else t.k1 end,
                                          'subscore', case b.ordering when 'desc' then ~t.k2 else t.k2 end,
                                          'achieved_at', ladder.time_text(ladder.time_of(case b.tie when 'last' then ~t.k3 else t.k3 end)),
                                          'metadata', t.metadata) order by t.rank), '[]')
                               from (select row_number() over (order by e.k1, e.k2, e.k3, e.player) as rank, e.*
                                     from ladder.entry e
                                     where e.period_id = p.id
                                       and e.window_kind = p.window_kind
                                       and e.period_start = p.starts_at
                                       and not e.removed
                                     order by e.k1, e.k2, e.k3, e.player
                                     limit w.top_count) t)))
           end::text
    from ladder.webhook_delivery d
    join ladder.webhook w on w.game_id = d.game_id
    join ladder.game g on g.id = d.game_id
    left join ladder.period p on p.id = d.period_id
    left join ladder.board b on b.id = p.board_id and b.deleted_at is null
    where d.id = p_delivery
      and (d.period_id is null or b.id is not null)
$$;
comment on function ladder.webhook_message(bigint) is 'The text of a message to a webhook.';
