-- $1 view
call ladder.refresh_gather($1::text)
