-- idempotency_claim: for writes of one statement: first in the same transaction. Raises LD001 when the key was
-- used before, which aborts the transaction, so the write behind it does not happen.
create or replace function ladder.idempotency_claim(p_game bigint, p_key bytea, p_hash bytea)
    returns void
    language plpgsql
    set search_path = pg_catalog
as $$
begin
    insert into ladder.idempotency_key (game_id, key, request_hash, backend_at)
    values (p_game, p_key, p_hash, ladder.backend_started_at())
    on conflict do nothing;
    if not found then
        raise exception 'the Idempotency-Key was used before' using errcode = 'LD001';
    end if;
end
$$;
comment on function ladder.idempotency_claim(bigint, bytea, bytea) is 'Takes an Idempotency-Key in this transaction, or raises LD001.';
