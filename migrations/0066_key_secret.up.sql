-- The secret that signs the ids of API keys, so that servers know an id that was made up without a query (docs/decisions/0117).
--
-- Keys of before go on: their ids have no signature, and 12 characters. An id of 31 characters, which `ladder key create` never made, would
-- now be taken for one with a signature: the migration refuses to go on where a valid key has such an id.
--
-- Locks: api_key against writes while an index of none or few of its rows is built, some ms. Old binaries: go on; they take keys with a
-- signature too, and the keys that they make are refused by servers for up to a second. Undo by hand: 0066_key_secret.down.sql.
do $$
begin
    if exists (select from ladder.api_key k where length(k.id) = 31 and k.revoked_at is null) then
        raise exception 'a valid API key has an id of 31 characters: revoke it (ladder key revoke) and make another (ladder key create)';
    end if;
end
$$;

-- A uuid has 122 random bits.
create table ladder.key_secret (
    is_only boolean not null default true,
    secret bytea not null default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
    previous bytea,
    constraint key_secret_pk primary key (is_only),
    constraint key_secret_is_only_ck check (is_only),
    constraint key_secret_size_ck check (octet_length(secret) = 32 and octet_length(previous) = 32)
);
comment on table ladder.key_secret is 'What signs the ids of API keys: one row.';
comment on column ladder.key_secret.is_only is 'True: there is one row at most.';
comment on column ladder.key_secret.secret is 'Ids of new keys are signed with it; it differs in each installation.';
comment on column ladder.key_secret.previous is 'Ids that were signed with this one are valid, too; null: there is no such one.';
comment on constraint key_secret_pk on ladder.key_secret is 'One row.';
comment on constraint key_secret_is_only_ck on ladder.key_secret is 'One row.';
comment on constraint key_secret_size_ck on ladder.key_secret is 'As long as what HMAC-SHA256 computes.';
insert into ladder.key_secret default values;

create index api_key_unsigned_idx on ladder.api_key (id) where length(id) <> 31 and revoked_at is null;
comment on index ladder.api_key_unsigned_idx is 'key_secret: are there valid keys whose ids have no signature?';
