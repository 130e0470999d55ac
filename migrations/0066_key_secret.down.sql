-- Keys whose ids have a signature go on: it is not looked at any more.
drop index ladder.api_key_unsigned_idx;
drop table ladder.key_secret;
