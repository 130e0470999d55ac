-- $1 id, $2 submitted at
delete from ladder.score_event v
where v.id = $1::bigint
  and v.submitted_at = $2::timestamptz
