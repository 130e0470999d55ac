-- Taken; or, with an error, not to be tried again.
-- $1 delivery, $2 error or null
update ladder.webhook_delivery d
set next_at = null, last_error = $2::text, delivered_at = case when $2::text is null then now() end
where d.id = $1::bigint
