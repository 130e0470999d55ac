"""Read your writes: on the server that took them, whatever connection or loop; on another, with the token."""
import os
import re
import signal
import socket
import threading
import time

import psycopg2
import pytest

from fault.proxy import Proxy
from harness import Client, wait_until


def test_every_loop_sees_what_one_took(stack, ladder):
    """Redis is gone and the replica stands still: a read on any new connection still sees the write."""
    game = stack.new_game()
    key = stack.key(game)
    Client(ladder, game, key).put_board("b")
    stack.replica_caught_up()
    stack.replica_sql("select pg_wal_replay_pause()")
    stack.redis_process.kill()
    try:
        for i in range(40):
            Client(ladder, game, key).submit("b", "ann", i + 1)
            assert Client(ladder, game, key).read("/boards/b/players/ann")["score"] == i + 1
            assert Client(ladder, game, key).read("/boards/b/top")["entries"][0]["score"] == i + 1
    finally:
        stack.replica_sql("select pg_wal_replay_resume()")
        stack.redis_start()
        stack.trusted(ladder)


def shown_by_header(answer):
    return {"Ladder-Token": answer.headers["Ladder-Token"]}


def shown_by_cookie(answer):
    """As a browser does it."""
    assert re.fullmatch(rf"ladder_token={answer.headers['Ladder-Token']}; Path=/v1/games/[a-z0-9-]+; Max-Age=60; HttpOnly; SameSite=Lax",
                        answer.headers["Set-Cookie"])
    return {"Cookie": "theme=dark; " + answer.headers["Set-Cookie"].split(";")[0] + "; lang=en"}


@pytest.mark.parametrize("shown", (shown_by_header, shown_by_cookie))
def test_another_server_sees_it_with_the_token(stack, ladder, shown):
    game = stack.new_game()
    key = stack.key(game)
    other = stack.serve()
    stack.trusted(other)
    here, there = Client(ladder, game, key), Client(other, game, key)
    here.put_board("b")
    stack.replica_caught_up()
    stack.replica_sql("select pg_wal_replay_pause()")
    try:
        for i in range(100):
            written = here.request("POST", "/boards/b/scores", {"player": f"p{i % 7}", "score": 1000 + i})
            answer = there.request("GET", f"/boards/b/players/p{i % 7}", headers=shown(written)).json()
            assert answer["score"] == 1000 + i
        stack.redis_process.kill()
        for i in range(30):
            written = here.request("POST", "/boards/b/scores", {"player": f"p{i % 7}", "score": 2000 + i})
            answer = there.request("GET", f"/boards/b/players/p{i % 7}", headers=shown(written)).json()
            assert answer["score"] == 2000 + i
    finally:
        stack.replica_sql("select pg_wal_replay_resume()")
        stack.redis_start()
        stack.trusted(ladder)
        other.stop()


def test_a_cookie_that_is_no_token_is_none(stack, ladder, client):
    """A header that is none of ours is a mistake; a cookie may be of another service, or of a secret that was changed."""
    client.put_board("b")
    assert client.request("GET", "/boards/b/top", headers={"Ladder-Token": "x"}).status_code == 400
    assert client.request("GET", "/boards/b/top", headers={"Cookie": "ladder_token=x"}).status_code == 200
    none = stack.serve(server_token_cookie_s=0)
    try:
        written = Client(none, client.game, client.key).request("POST", "/boards/b/scores", {"player": "ann", "score": 1})
        assert written.headers["Ladder-Token"] and "Set-Cookie" not in written.headers
    finally:
        none.stop()


def test_a_redis_that_hangs_is_given_up(stack, ladder):
    """SIGSTOP: nothing answers, nothing is refused. Requests go on, and see their writes, when it comes back too."""
    import signal
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("b")
    client.submit("b", "ann", 1)
    for i in range(3):
        stack.redis_process.send(signal.SIGSTOP)
        for n in range(5):
            assert client.submit("b", "ann", 10 * (i + 1) + n)["entry"]["rank"] == 1
            assert client.read("/boards/b/players/ann")["score"] == 10 * (i + 1) + n
        stack.redis_process.send(signal.SIGCONT)
        for n in range(20):
            assert client.read("/boards/b/players/ann")["score"] == 10 * (i + 1) + 4
    stack.trusted(ladder)


def test_the_primary_goes_and_comes(stack, ladder):
    """Reads go on, writes get 503 with Retry-After, nothing acknowledged is lost, and all is well again by itself."""
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=i) for i in range(100)])
    assert client.read("/boards/b/top", limit=1)["entries"][0]["score"] == 99
    stack.replica_caught_up()
    stack.primary.kill()
    refused = client.request("POST", "/boards/b/scores", {"player": "p1", "score": 5000})
    assert refused.status_code == 503 and refused.headers["Retry-After"]
    for i in range(100):
        assert client.read("/boards/b/top", limit=1 + i % 50)["entries"][0]["score"] == 99
    stack.primary = stack.postgres_start("primary", stack.primary_port)
    wait_until(lambda: client.request("POST", "/boards/b/scores", {"player": "p1", "score": 6000}).status_code == 200, 10, "writes go on")
    assert client.read("/boards/b/top", limit=1)["entries"][0]["score"] == 6000
    for i in range(40):  # each loop comes back by itself, and the replica needs seconds to find the primary again
        assert Client(ladder, game, client.key).read("/boards/b/top", limit=60 + i)["entries"][0]["score"] == 6000


def test_a_graceful_stop_loses_no_request(stack):
    """SIGTERM under load: every request that was taken is answered, and what was answered is there."""
    server, game = stack.serve(), stack.new_game()
    key = stack.key(game)
    Client(server, game, key).put_board("b", operator="sum")
    counted, broken, stop = [0] * 6, [], threading.Event()

    def write(who):
        client = Client(server, game, key)
        while not stop.is_set():
            try:
                answer = client.request("POST", "/boards/b/scores", {"player": f"p{who}", "score": 1})
            except Exception as error:  # a connection refused or closed between requests is how it ends
                broken.append(error)
                return
            assert answer.status_code == 200, answer.text
            counted[who] += 1
    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    [t.start() for t in threads]
    wait_until(lambda: min(counted) > 20, 10, "some writes")
    assert server.stop() == 0
    stop.set()
    [t.join() for t in threads]
    stack.replica_caught_up()  # a new server, asked without a token, promises no more than its replicas have
    again = stack.serve()
    found = {e["player"]: e["score"] for e in Client(again, game, key).pages("b")}
    assert all(counted[n] <= found[f"p{n}"] <= counted[n] + 1 for n in range(6)), (counted, found)
    again.stop()


def test_reads_do_not_wait_for_definitions_and_keys(stack):
    """The database stands still where boards and keys are looked up: who was let in a moment ago goes on reading."""
    server, worker = stack.serve(database_statement_timeout_ms=1000), stack.worker()
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b")
    client.submit("b", "ann", 1)
    wait_until(lambda: client.get("/boards/b/top").headers["Ladder-Cache"] == "hit", 10, "it is remembered")
    lock = psycopg2.connect(stack.primary_url)
    try:
        lock.cursor().execute("lock table ladder.board, ladder.api_key in access exclusive mode")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            answer = client.get("/boards/b/top")  # one that waits for the lock waits until its statement times out: 503
            assert answer.status_code == 200, answer.text
            time.sleep(0.01)
    finally:
        lock.close()
    for process in (server, worker):
        assert process.stop() == 0


def test_a_server_stops_while_the_database_hangs(stack):
    """What is asked of the database then is given up, not asked of another connection that is gone already."""
    server, worker = stack.serve(server_drain_timeout_ms=200, server_loops=1), stack.worker()
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b")
    lock = psycopg2.connect(stack.primary_url)
    try:
        lock.cursor().execute("lock table ladder.board in access exclusive mode")
        waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
        for i, connection in enumerate(waiting):
            connection.sendall(f"GET /v1/games/{game}/boards/other{i}/top HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n\r\n".encode())
        wait_until(lambda: stack.sql("select count(*) from pg_locks where not granted and relation = 'ladder.board'::regclass")[0][0], 5, "they wait")
        assert server.stop() == 0
    finally:
        lock.close()
    for connection in waiting:
        connection.close()
    server.check_clean()
    assert worker.stop() == 0


@pytest.mark.parametrize("stream_ms", [0, 30000])
def test_a_server_stops_while_the_database_is_silent(stack, ladder, stream_ms):
    """What waits for PostgreSQL is answered while the server stops, when its connections to Redis are closed already; also a read that must hear of a
    change that Redis has not told the server yet."""
    link = Proxy(stack.redis_port)
    server = stack.serve(cache_board_ttl_ms=0, cache_key_ttl_ms=0, server_drain_timeout_ms=100, redis_url=f"redis://127.0.0.1:{link.port}/0")
    stack.trusted(server)
    game = stack.new_game()
    client = Client(server, game, stack.key(game))
    client.put_board("b", public=True)
    client.submit("b", "ann", 1)
    paths = ["/boards/b/top", "/boards/b/players/ann", "/boards/b/top?ranking=dense", "/boards/b/stats"]
    for path in paths:
        assert client.get(path).status_code == 200
    link.set(stream_ms=stream_ms)
    token = Client(ladder, game, client.key).submit("b", "bob", 2)["token"]
    silent = [pid for sql in (stack.sql, stack.replica_sql) for pid, in sql("select pid from pg_stat_activity where usename = 'ladder_serve'")]
    try:
        for pid in silent:
            os.kill(pid, signal.SIGSTOP)
        sockets = []
        for path in paths * 4:
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(f"GET /v1/games/{game}{path} HTTP/1.1\r\nHost: a\r\nLadder-Token: {token}\r\n\r\n".encode())
            sockets.append(connection)
        time.sleep(0.3)
        assert server.stop() == 0, server.log()[-2000:]
    finally:
        for pid in silent:
            os.kill(pid, signal.SIGCONT)
        link.close()
        for connection in sockets:
            connection.close()
    server.check_clean()
