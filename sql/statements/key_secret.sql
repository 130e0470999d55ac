-- What ids of API keys are signed with, and whether there are valid keys whose ids have no signature (an id with one has 31 characters).
select s.secret, s.previous,
       exists (select from ladder.api_key k where length(k.id) <> 31 and k.revoked_at is null) as has_unsigned
from ladder.key_secret s
