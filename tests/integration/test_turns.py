"""Reads wait for their turn: what one request may cost, what a list in pieces is worth, and that a slow Redis is not a lost one."""
import contextlib
import random
import socket
import threading
import time

import pytest
from harness import Client, free_port, wait_until
from wire import Wire


def query(client, count, key=None, path="/boards/b/top"):
    return Client(client.server, client.game, key).request("POST", "/query", {"queries": [path] * count})


def test_a_query_without_a_key_is_smaller(client):
    client.put_board("b", public=True)
    assert query(client, 20).status_code == 200
    refused = query(client, 21)
    assert refused.status_code == 400 and refused.json()["errors"][0]["pointer"] == "/queries", refused.text
    assert "has 21 items, the limit without an API key is 20" in refused.json()["detail"]
    assert query(client, 21, "lk_nobody_x").status_code == 400
    answer = query(client, 100, client.key)
    assert answer.status_code == 200 and [result["status"] for result in answer.json()["results"]] == [200] * 100


def test_the_limit_is_a_setting(stack, client):
    server = stack.serve(limits_query_anonymous=0)
    client.put_board("b", public=True)
    assert query(Client(server, client.game), 1).status_code == 400
    assert query(Client(server, client.game), 1, client.key).status_code == 200
    server.stop()


def test_what_is_wrong_with_one_query_does_not_stop_the_others(client):
    client.put_board("b", public=True)
    paths = [f"/boards/{'b' if n % 3 else 'absent'}/top?limit={n % 2}" if n % 5 else "no path" for n in range(100)]
    results = client.request("POST", "/query", {"queries": paths}).json()["results"]
    assert [result["status"] for result in results] == [400 if n % 5 == 0 else 400 if n % 3 and n % 2 == 0 else 404 if n % 3 == 0 else 200 for n in range(100)]


@pytest.fixture
def crowd(stack, ladder, client):
    """2,000 players that Redis holds."""
    client.put_board("b", public=True)
    scores = {f"u{n}": random.Random(n).randrange(500) for n in range(2000)}
    for at in range(0, 2000, 1000):
        client.submit_many([{"board": "b", "player": player, "score": score, "metadata": {"n": score}} for player, score in list(scores.items())[at:at + 1000]])
    stack.trusted(ladder)
    wait_until(lambda: client.read("/boards/b/top", source="true")["source"] == "redis", 20, "Redis holds the board")
    return client


@pytest.mark.parametrize("count", [1, 99, 100, 101, 200, 499, 500])
def test_a_list_in_pieces_is_what_it_is_whole(stack, crowd, count):
    whole = stack.serve(faults="turns")
    stack.trusted(whole)
    ids = [f"u{n}" for n in random.sample(range(2200), count)]
    for ranking in ("ordinal", "competition"):
        asked = dict(ids=",".join(ids), ranking=ranking, fields="metadata,achieved_at,percentile,total", source="true")
        one, other = crowd.read("/boards/b/players", **asked), Client(whole, crowd.game, crowd.key).read("/boards/b/players", **asked)
        assert one == other and one["source"] == "redis"
    whole.stop()


def test_a_list_is_of_one_state_while_scores_change(stack, crowd):
    """Each player's score is its own, so the order of scores must be that of ranks; and no two share a place."""
    stop = threading.Event()

    def write():
        dice = random.Random(4)
        mine = Client(crowd.server, crowd.game, crowd.key)
        while not stop.is_set():
            mine.submit_many([{"board": "b", "player": f"u{dice.randrange(2000)}", "score": dice.randrange(10 ** 9)} for _ in range(20)])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(60):
            page = crowd.read("/boards/b/players", ids=",".join(f"u{i}" for i in range(n, n + 500)), fields="total")
            places = [(entry["rank"], -entry["score"]) for entry in page["entries"]]
            assert len(places) == 500 and places == sorted(places)
            ranks = [rank for rank, _ in places]
            assert len(set(ranks)) == 500 and 1 <= ranks[0] and ranks[-1] <= page["total"]
    finally:
        stop.set()
        writer.join()


def test_too_many_wait(stack, crowd):
    """Beyond limits.reads_waiting a game's reads get 503; another game's do not."""
    server = stack.serve(server_loops=1, limits_reads_in_flight=1, limits_reads_waiting=3)
    stack.trusted(server)
    other = Client(server, stack.new_game())
    key = stack.key(other.game)
    Client(server, other.game, key).put_board("c", public=True)
    body = {"queries": [f"/boards/b/players?ids={','.join(f'u{i + n}' for i in range(500))}" for n in range(20)]}
    results = Client(server, crowd.game, crowd.key).request("POST", "/query", body).json()["results"]
    assert {result["status"] for result in results} == {503}, "five pieces of each, four of them at once"
    wires = [Wire(server.port) for _ in range(6)]
    for n, wire in enumerate(wires):
        wire.send(f"GET /v1/games/{crowd.game}/boards/b/players?ids={','.join(f'u{i + n}' for i in range(80))} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert other.get("/boards/c/top").status_code == 200
    assert {wire.answer().status for wire in wires} <= {200, 503}
    server.stop()


class SlowLink(threading.Thread):
    """To Redis, and back at so many bytes a second while is_slow is set."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.is_slow = port, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.port))
                for source, sink, is_back in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self.pass_on, args=(source, sink, is_back), daemon=True).start()

    def pass_on(self, source, sink, is_back):
        with contextlib.suppress(OSError):
            while data := source.recv(1000 if is_back else 65536):
                sink.sendall(data)
                if is_back and self.is_slow.is_set():
                    time.sleep(len(data) / 100_000)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("faults", ["turns", "turns,slow-is-lost"])
def test_a_redis_that_is_slow_is_not_lost(stack, crowd, faults):
    """Some 300 KB of replies at once, at 100 KB a second: the last one comes after three seconds, one comes each tenth of a second. The
    control counts the wait in the queue, as it was before."""
    link = SlowLink(stack.redis_port)
    server = stack.serve(faults=faults, server_loops=1, redis_url=link.url, redis_command_timeout_ms=1000)
    stack.trusted(server)
    link.is_slow.set()
    wires = [Wire(server.port, timeout=120) for _ in range(30)]
    for n, wire in enumerate(wires):
        wire.send(f"GET /v1/games/{crowd.game}/boards/b/players?source=true&ids={','.join(f'u{i + n}' for i in range(100))} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    sources = {wire.answer().json()["source"] for wire in wires}
    is_lost = "event=redis-lost" in server.log()
    assert is_lost == ("slow-is-lost" in faults)
    if not is_lost:
        assert sources == {"redis"}
    server.stop()
    link.listener.close()


def test_reads_that_wait_for_a_connection_are_not_overtaken(stack, client):
    """Eight reads may be in flight and one connection answers them: whoever waits for it goes before the read whose turn comes when one is answered."""
    client.put_board("b")
    client.submit_many([{"board": "b", "player": f"p{n}", "score": n} for n in range(24)])
    server = stack.serve(redis_url=f"redis://127.0.0.1:{free_port()}", server_loops=1, database_read_connections=1, database_pipeline_max=1,
                         database_read_queue_timeout_ms=60000, limits_reads_in_flight=16, limits_game_percent=100, limits_client_percent=100)
    counts, is_over = [0] * 24, threading.Event()

    def ask(number):
        mine = Client(server, client.game, client.key)
        while not is_over.is_set():
            assert mine.get(f"/boards/b/players/p{number}").status_code == 200
            counts[number] += 1
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(counts))]
    [thread.start() for thread in threads]
    try:
        wait_until(lambda: sum(counts) > 100 * len(counts), 60, "a hundred reads of each")
    finally:
        is_over.set()
        [thread.join() for thread in threads]
    assert min(counts) > 75, counts
    assert server.stop() == 0
