-- $1 view
select ladder.refresh_view($1::text) as rows
