-- How far the file is in, in the transaction of its rows.
-- Only from where the runner saw it: moved by another, it touches no row.
-- $1 board, $2 source hash, $3 rows, $4 rows so far
insert into ladder.import_run as i (board_id, source_hash, rows_done)
values ($1::bigint, $2::bytea, $3::bigint)
on conflict (board_id, source_hash) do update
    set rows_done = excluded.rows_done, updated_at = now()
    where i.rows_done = $4::bigint
