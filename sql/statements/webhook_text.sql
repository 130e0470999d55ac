-- What a message says, by itself, so that one that cannot be made keeps no other from being sent. Null: the board is gone, or the webhook.
-- $1 message
select ladder.webhook_message($1::bigint) as message
