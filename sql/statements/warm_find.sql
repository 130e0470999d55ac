-- Whether the names that `ladder warm` was given are those of anything.
-- $1 game or null, $2 board or null
select $1::text is null or exists (select from ladder.game g where g.name = $1::text) as has_game,
       $2::text is null or exists (select from ladder.game g
                                   join ladder.board b on b.game_id = g.id
                                   where b.name = $2::text
                                     and b.deleted_at is null
                                     and ($1::text is null or g.name = $1::text)) as has_board
