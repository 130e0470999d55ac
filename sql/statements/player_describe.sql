-- $1 board id, $2 player, $3 metadata, $4 window or '' for all, $5 changes nothing
select period_id, is_facet, is_changed, revision, k1, k2, k3, metadata, window_kind, period_start_us
from ladder.player_describe($1::bigint, $2::text, $3::text, $4::text, $5::boolean)
