-- What a key's submissions did, in the form of the statement submit.
-- $1 game id, $2 key
select x.item, x.window_kind, x.period_id, x.outcome, 0::bigint as revision, x.k1, x.k2, x.k3, x.metadata,
       x.old_k1, x.old_k2, x.old_k3, x.period_start_us, x.facet
from ladder.idempotency_key i
cross join lateral json_to_recordset(i.outcome)
     as x (item int, window_kind ladder.window_kind, period_id bigint, outcome smallint, k1 bigint, k2 bigint, k3 bigint,
           metadata text, old_k1 bigint, old_k2 bigint, old_k3 bigint, period_start_us bigint, facet text)
where i.game_id = $1::bigint
  and i.key = $2::bytea
