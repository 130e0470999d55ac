-- An API key by its public part.
-- $1 id
select k.hash, k.scope, g.id as game_id, g.name as game, g.definition
from ladder.api_key k
join ladder.game g on g.id = k.game_id
where k.id = $1::text
  and k.revoked_at is null
