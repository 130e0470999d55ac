select item, window_kind, period_id, outcome, revision, k1, k2, k3, metadata, old_k1, old_k2, old_k3, period_start_us, facet
from ladder.submit_apart($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::int[], $8::int[],
                   $9::bigint[], $10::bytea[], $11::bytea[], $12::text[], $13::int[])
