-- $1 game id, $2 key, $3 hash
select ladder.idempotency_claim($1::bigint, $2::bytea, $3::bytea)
