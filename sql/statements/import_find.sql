-- $1 board, $2 source hash
select i.rows_done
from ladder.import_run i
where i.board_id = $1::bigint
  and i.source_hash = $2::bytea
