"""Changes of boards, combinations and keys reach other servers: with the token of the change at once, without it by a message."""
import contextlib
import time

import psycopg2
import pytest
from harness import Client, wait_until

LONG = dict(cache_board_ttl_ms=60000, cache_key_ttl_ms=60000)  # a copy does not end by its age within a test
ROUNDS = 200


@contextlib.contextmanager
def pair(stack, client, here=(), there=()):
    """Two servers with two loops each, as clients of one game."""
    servers = [stack.serve(server_loops=2, **{**LONG, **dict(settings)}) for settings in (here, there)]
    for server in servers:
        if "redis://127.0.0.1:1/" not in str(here) + str(there):
            stack.trusted(server)
    try:
        yield [Client(server, client.game, client.key) for server in servers]
    finally:
        for server in servers:
            server.stop()
            server.check_clean()


def again(client):
    """The same client on a connection of its own, and so maybe on another loop."""
    return Client(client.server, client.game, client.key)


def read(client, path, token=None):
    return client.request("GET", path, headers={"Ladder-Token": token} if token else {})


def written(answer):
    assert answer.status_code in (200, 201, 204), answer.text
    return answer.headers["Ladder-Token"]


def gone_and_made_again(here, there, rounds):
    """How many answers of the other server were not of the board that there is."""
    old = 0
    here.put_board("b")
    here.submit("b", "first", 0)
    others = [again(there) for _ in range(6)]
    for n in range(rounds):
        other = others[n % len(others)]
        other.get("/boards/b/top")  # it has a copy
        deleted = written(here.request("DELETE", "/boards/b"))
        old += read(other, "/boards/b", deleted).status_code != 404
        made = written(here.request("PUT", "/boards/b", {"order": "asc" if n % 2 else "desc"}))
        answer = read(other, "/boards/b/top", made)
        old += answer.status_code != 200 or answer.json()["entries"] != []
        token = here.submit("b", f"p{n}", n)["token"]
        entries = read(other, "/boards/b/top", token).json().get("entries", [])
        old += [e["player"] for e in entries] != [f"p{n}"]
    return old


def test_a_board_made_again_is_seen_with_the_token(stack, client):
    with pair(stack, client) as (here, there):
        assert gone_and_made_again(here, there, ROUNDS) == 0


def test_without_messages_too(stack, client):
    with pair(stack, client, there=dict(faults="definition-message")) as (here, there):
        assert gone_and_made_again(here, there, 50) == 0


def test_without_redis_too(stack, client):
    nowhere = dict(redis_url="redis://127.0.0.1:1/0")
    with pair(stack, client, here=nowhere, there=nowhere) as (here, there):
        assert gone_and_made_again(here, there, 50) == 0


def test_a_server_that_does_not_look_at_the_token_is_found(stack, client):
    with pair(stack, client, there=dict(faults="definition-message,definition-token")) as (here, there):
        assert gone_and_made_again(here, there, 20) > 0


@pytest.mark.parametrize("there_is", (dict(), dict(cache_l1_bytes=0)), ids=("with a memory", "without a memory"))
def test_every_change_is_told(stack, client, there_is):
    with pair(stack, client, there=there_is) as (here, there):
        here.put_board("b", public=True)
        here.put_board("other")
        everyone = [again(there) for _ in range(6)]
        nobody = [Client(there.server, client.game) for _ in range(6)]

        def all_see(what, condition, readers=everyone):
            wait_until(lambda: all(condition(reader) for reader in readers), 30, what)
        all_see("it is public", lambda reader: reader.get("/boards/b/top").status_code == 200, nobody)
        written(here.request("PATCH", "/boards/b", {"public": False}))
        all_see("it is not public any more", lambda reader: reader.get("/boards/b/top").status_code == 401, nobody)
        written(here.request("PUT", "/boards/b", {"windows": ["all"], "max_staleness_ms": 5}))
        all_see("what it allows", lambda reader: reader.read("/boards/b")["max_staleness_ms"] == 5)
        written(here.request("PUT", "/boards/b/combination", {"by": "sum", "of": [{"board": "other"}]}))
        all_see("it takes no scores", lambda reader: reader.request("POST", "/boards/b/scores", {"player": "x", "score": 1}).status_code == 409)
        written(here.request("DELETE", "/boards/b/combination"))
        all_see("it is ordinary", lambda reader: reader.request("POST", "/boards/b/scores", {"player": "x", "score": 1}).status_code == 200)
        written(here.request("DELETE", "/boards/b"))
        all_see("it is gone", lambda reader: reader.get("/boards/b").status_code == 404)


def test_a_revoked_key_is_refused_everywhere(stack, client):
    with pair(stack, client) as servers:
        servers[0].put_board("b")
        for _ in range(5):
            key = stack.key(client.game, "read")
            readers = [Client(server.server, client.game, key) for server in servers for _ in range(4)]
            for reader in readers:
                assert reader.get("/boards/b/top").status_code == 200
            assert stack.cli("key", "revoke", key.split("_")[1]) == f"revoked {key.split('_')[1]}\n"
            wait_until(lambda: all(reader.get("/boards/b/top").status_code == 401 for reader in readers), 30, "it is refused")
            assert all(server.get("/boards/b/top").status_code == 200 for server in servers), "the other key of the game goes on"


def test_a_key_is_revoked_while_redis_is_away(stack, client):
    """It says so, and the key ends by its age."""
    with pair(stack, client, there=dict(cache_key_ttl_ms=1000)) as (_, there):
        key = stack.key(client.game, "read")
        reader = Client(there.server, client.game, key)
        there.put_board("b")
        assert reader.get("/boards/b/top").status_code == 200
        text = stack.cli("key", "revoke", key.split("_")[1], redis_url="redis://127.0.0.1:1/0", cache_key_ttl_ms=1000)
        assert "could not be told through Redis" in text and "for 1000 ms more" in text and "revoked" in text
        wait_until(lambda: reader.get("/boards/b/top").status_code == 401, 30, "it is refused")


def test_a_change_by_hand_is_seen_with_the_token_of_a_later_write(stack, client):
    """Nobody published it: copies end by their age, or by a token."""
    with pair(stack, client) as (here, there):
        here.put_board("b")
        assert there.read("/boards/b")["max_staleness_ms"] == 0
        stack.sql("update ladder.board set max_staleness_ms = 7 where name = 'b' and game_id = (select id from ladder.game where name = %s)", client.game)
        here.put_board("another")
        token = written(here.request("PUT", "/boards/another", {}))
        assert read(there, "/boards/b", token).json()["max_staleness_ms"] == 7


def test_after_the_channel_was_lost_all_is_read_anew(stack, client):
    with pair(stack, client) as (here, there):
        here.put_board("b")
        for n in range(5):
            for reader in [again(there) for _ in range(4)]:
                wait_until(lambda: reader.read("/boards/b")["max_staleness_ms"] == n, 30, "the copy is as the board is")
            stack.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            stack.sql("update ladder.board set max_staleness_ms = %s where name = 'b' and game_id = (select id from ladder.game where name = %s)",
                      n + 1, client.game)


def test_tokens_of_one_game_say_nothing_of_another(stack, client):
    with pair(stack, client) as (here, there):
        game = stack.new_game()
        foreign = Client(here.server, game, stack.key(game))
        for n in range(5):
            token = written(foreign.request("PUT", "/boards/b", {"max_staleness_ms": n}))
        here.put_board("b")
        assert read(there, "/boards/b", token).status_code == 200
        reads = stack.sql("select definition from ladder.game where name = any (%s) order by definition", [[client.game, game]])
        assert reads == [(1,), (5,)]


def test_a_look_ahead_that_is_overtaken_does_not_stop_looking(stack, client):
    """Another board changes while a copy is looked at again; the copy still ends by its age."""
    server = stack.serve(server_loops=1, cache_board_ttl_ms=1000, faults="definition-message")
    there = Client(server, client.game, client.key)
    there.put_board("b")
    there.put_board("x")
    for _ in range(3):
        there.read("/boards/b")
        time.sleep(0.6)  # it is to be looked at again
        with contextlib.closing(psycopg2.connect(stack.primary_url)) as lock:
            lock.cursor().execute("lock table ladder.combination in access exclusive mode")
            there.read("/boards/b")
            wait_until(lambda: stack.sql("select count(*) from pg_locks where not granted and relation = 'ladder.combination'::regclass")[0][0], 30, "it looks")
            there.put_board("x")
    stack.sql("update ladder.board set max_staleness_ms = 9 where name = 'b' and game_id = (select id from ladder.game where name = %s)", client.game)
    wait_until(lambda: there.read("/boards/b")["max_staleness_ms"] == 9, 10, "the copy ended by its age")
    server.stop()
