-- The functions that use the types go with them; migrating up applies them again.
drop function if exists ladder.submit_apart(bigint[], text[], bigint[], bigint[], bigint[], text[], integer[], integer[], bigint[], bytea[], bytea[], text[], integer[]);
drop function if exists ladder.submit_unit(ladder.submit_batch, integer[], timestamptz);
drop function if exists ladder.submit_try(ladder.submit_batch, integer[], boolean);
drop function if exists ladder.submit_refused(integer[], integer, text);
drop type ladder.submit_batch, ladder.submit_result;
