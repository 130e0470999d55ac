-- One event, by score_event_board_id_player_idx.
-- $1 id, $2 submitted at, $3 board, $4 player
delete from ladder.score_event v
where v.id = $1::bigint
  and v.submitted_at = $2::timestamptz
  and v.board_id = $3::bigint
  and v.player = $4::text
