"""Every answer of 503 says its true cause: in its problem, in one line of the log, and in one counter."""
import contextlib
import re
import threading
import time

import psycopg2
import pytest

from checks import refused
from harness import BINARY, Client, free_port, wait_until

CAUSES = {"queue": "overloaded", "deadline": "deadline-exceeded", "dependency": "unavailable", "memory": "memory-full"}


def counts(server):
    client = Client(server, "none")
    text = client.session.get(f"http://127.0.0.1:{server.port}/metrics", timeout=60).text
    found = dict(re.findall(r'^ladder_unavailable_total\{cause="(\w+)"\} (\d+)$', text, re.M))
    assert set(found) == set(CAUSES), text
    return {cause: int(count) for cause, count in found.items()}


@contextlib.contextmanager
def serving(stack, **settings):
    server = stack.serve(server_loops=1, **settings)
    try:
        yield server
    finally:
        assert server.stop() == 0, server.log()[-2000:]


@contextlib.contextmanager
def entries_locked(stack):
    connection = psycopg2.connect(stack.primary_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("lock table ladder.entry in exclusive mode")
        yield
    finally:
        connection.rollback()
        connection.close()


def is_said_once(server, cause, before, answer):
    problem = refused(answer, CAUSES[cause]).json()
    assert answer.headers["Retry-After"]
    assert counts(server) == {**before, cause: before[cause] + 1}
    lines = [line for line in server.log().splitlines() if "event=unavailable" in line and f"cause={cause}" in line]
    assert len(lines) == before[cause] + 1, lines
    assert "method=POST" in lines[-1] and "{board}/scores" in lines[-1] and problem["detail"][:40] in lines[-1], lines


def test_a_dependency(stack):
    """No PostgreSQL: the key cannot be checked."""
    environment = stack.environment("ladder_serve", server_loops=1, database_url=f"postgresql://ladder@127.0.0.1:{free_port()}/ladder",
                                    database_connect_timeout_ms=200, database_replicas="")
    server = stack.spawn([BINARY, "serve"], "serve-alone", environment)
    line = wait_until(lambda: next((x for x in server.log().splitlines() if "event=listening" in x), None), 30, "it listens")
    server.port = int(line.split("port=")[1].split()[0])
    client = Client(server, "demo", stack.key(stack.new_game()))
    before = counts(server)
    is_said_once(server, "dependency", before, client.request("POST", "/boards/b/scores", {"player": "ann", "score": 1}))
    assert server.stop() == 0, server.log()[-2000:]


@pytest.mark.parametrize("setting", [{"server_answer_timeout_ms": 500}, {"database_statement_timeout_ms": 200}], ids=lambda s: next(iter(s)))
def test_a_deadline(stack, setting):
    """A lock holds the write until the answer is late, or its statement takes too long."""
    with serving(stack, **setting) as server:
        game = stack.new_game()
        client = Client(server, game, stack.key(game))
        client.put_board("b")
        before = counts(server)
        with entries_locked(stack):
            is_said_once(server, "deadline", before, client.request("POST", "/boards/b/scores", {"player": "ann", "score": 1}))


def test_a_queue(stack):
    """Submissions wait behind a lock until the queue is full."""
    with serving(stack, database_queue_max=1, database_write_connections=1, database_batch_max=1,
                 database_statement_timeout_ms=60000, server_answer_timeout_ms=60000) as server:
        game = stack.new_game()
        key = stack.key(game)
        client = Client(server, game, key)
        client.put_board("b")
        waiting, refused_at = [], [time.monotonic()]

        def post(player):
            """Those that arrive in the same moment may find the queue full before the first of them is in flight."""
            while (answer := Client(server, game, key).request("POST", "/boards/b/scores", {"player": player, "score": 1})).status_code == 503:
                refused_at[0] = time.monotonic()
                time.sleep(0.05)
            waiting.append(answer)
        threads = [threading.Thread(target=post, args=(f"p{i}",)) for i in range(3)]  # two in flight, one in the queue
        with entries_locked(stack):
            for thread in threads:
                thread.start()
            text = lambda: client.session.get(f"http://127.0.0.1:{server.port}/metrics", timeout=60).text
            wait_until(lambda: "ladder_submit_queue 1" in text() and time.monotonic() - refused_at[0] > 2, 30, "the queue is full, and all three are in")
            assert not waiting, waiting
            before = counts(server)
            is_said_once(server, "queue", before, client.request("POST", "/boards/b/scores", {"player": "late", "score": 1}))
        for thread in threads:
            thread.join()
        assert [answer.status_code for answer in waiting] == [200] * 3
        assert counts(server)["queue"] == before["queue"] + 1
