"""What PostgreSQL has, what Redis has, and whether they are the same. Decodes Redis's members by itself."""
import redis as redis_module


def integer(data, at):
    head = data[at]
    if head >= 0x80:
        size = head - 0x80
        return int.from_bytes(data[at + 1:at + 1 + size], "big"), at + 1 + size
    size = 0x7F - head
    value = int.from_bytes(data[at + 1:at + 1 + size], "big") - (1 << (8 * size)) if size else -1
    return value, at + 1 + size


def member(data):
    k1, at = integer(data, 0)
    k2, at = integer(data, at)
    k3, at = integer(data, at)
    return k1, k2, k3, data[at:].decode()


def in_postgres(stack, period):
    """[(k1, k2, k3, player, metadata, revision)] in rank order."""
    return stack.sql("select k1, k2, k3, player, coalesce(metadata::text, ''), revision from ladder.entry "
                     "where period_id = %s and not removed order by k1, k2, k3, player", period)


def in_redis(stack, period):
    """The same from Redis; None when it does not hold the standing whole."""
    meta_key = f"ladder:{{{period % 256}}}:{period}:meta"
    meta = stack.redis.hgetall(meta_key)
    if b"gen" not in meta or int(meta[b"epoch"]) != stack.sql("select max(epoch) from ladder.epoch")[0][0]:
        return None
    base = meta_key[:-4] + meta[b"gen"].decode()
    members = stack.redis.zrange(base + ":order", 0, -1)
    values = stack.redis.hgetall(base + ":entry")
    rows = []
    live = {player: value for player, value in values.items() if len(value) > 6}
    assert len(live) == len(members) == int(meta[b"n"]), (period, len(live), len(members), meta)
    for data in members:
        k1, k2, k3, player = member(data)
        value = live[player.encode()]
        size = value[6]
        assert value[7:7 + size] + player.encode() == data
        rows.append((k1, k2, k3, player, value[7 + size:].decode(), int.from_bytes(value[:6], "big")))
    return rows


def periods(stack, game, window=None):
    return [row[0] for row in stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id "
                                        "join ladder.game g on g.id = b.game_id where g.name = %s and b.deleted_at is null "
                                        "and p.state = 'open' and (%s::text is null or p.window_kind::text = %s)", game, window, window)]


def mirrored(stack, game):
    """The standings of facets, in PostgreSQL, have the entries of the whole board's of the players who have the value; how many."""
    of_board = ("select e.*, p.facet, p.board_id from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b on b.id = p.board_id "
                "join ladder.game g on g.id = b.game_id where g.name = %s and p.state = 'open' and not e.removed")
    wanted = stack.sql(f"select window_kind, period_start, h, e.player, k1, k2, k3, metadata::text from ({of_board}) e join ladder.player_facet f "
                       "on f.board_id = e.board_id and f.player = e.player cross join unnest(f.facets) h where e.facet = '' and h not like '%%:'", game)
    found = stack.sql(f"select window_kind, period_start, facet, player, k1, k2, k3, metadata::text from ({of_board}) e where facet <> ''", game)
    assert sorted(wanted, key=str) == sorted(found, key=str)
    return len(found)


def same(stack, game, window=None):
    """Redis holds every open standing of the game, or of one of its windows, exactly as PostgreSQL does."""
    try:
        return all(in_redis(stack, p) == in_postgres(stack, p) for p in periods(stack, game, window))
    except (AssertionError, KeyError, redis_module.exceptions.RedisError):
        return False


def differences(stack, game):
    """In words, where Redis does not hold a standing as PostgreSQL does."""
    def of(period):
        try:
            there, right = in_redis(stack, period), in_postgres(stack, period)
        except (AssertionError, KeyError, redis_module.exceptions.RedisError) as error:
            return f"{period}: {error!r}"
        return f"{period}: {'not whole in Redis' if there is None else [row for row in right if row not in there] + [row for row in there if row not in right]}" \
            if there != right else None
    return "; ".join(filter(None, map(of, periods(stack, game))))
