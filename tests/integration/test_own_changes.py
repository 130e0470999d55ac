"""A server's loops know what the server itself wrote to Redis as soon as Redis has answered, whenever the stream of changes brings it."""
import contextlib
import signal
import time

import modelrun
import pytest
from harness import Client, wait_until
from wire import Wire

ROUNDS = 1600  # a hundred reads on each connection but the writer's
LATE = ((300, 300), (0, 0))  # every message of the stream comes 300 ms late; answers to commands do not


class Connection(Wire):
    """One kept-alive connection to a game, which shows its last token unless told otherwise."""

    def __init__(self, server, client, shows_token):
        super().__init__(server.port, timeout=30)
        self.base, self.shows_token, self.token = f"/v1/games/{client.game}", shows_token, ""
        self.head = f"Host: x\r\nAuthorization: Bearer {client.key}\r\n"

    def ask(self, method, path, body=""):
        token = f"Ladder-Token: {self.token}\r\n" if self.token and self.shows_token else ""
        self.send(f"{method} {self.base}{path} HTTP/1.1\r\n{self.head}{token}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = self.answer()
        assert answer.status == 200, answer
        return answer

    def write(self, player, score):
        answer = self.ask("POST", "/boards/b/scores", f'{{"player": "{player}", "score": {score}}}')
        self.token = answer.headers["ladder-token"]

    def is_hit(self):
        return self.ask("GET", "/boards/b/top?limit=10").headers["ladder-cache"] == "hit"


def board_make(client):
    client.put_board("b", windows=["all", "daily", "weekly"], operator="last")
    client.submit_many([dict(board="b", player=f"p{i}", score=10000 - i) for i in range(100)])
    wait_until(lambda: client.get("/boards/b/top", limit=10).headers["Ladder-Cache"] == "hit", 30, "a hit")


@pytest.mark.parametrize("shows_token", (False, True), ids=("without a token", "with the token"))
def test_a_write_below_a_page_leaves_it_in_memory(stack, client, ladder, shows_token):
    """Each reader stays on one of the two loops; one of them is the writer itself."""
    server = stack.serve(server_loops=2)
    stack.trusted(server)
    client = Client(server, client.game, client.key)
    board_make(client)
    readers = [Connection(server, client, shows_token) for _ in range(8)]
    writer, hits = readers[0], [0] * len(readers)
    for reader in readers:  # each loop has it in memory
        wait_until(reader.is_hit, 30, "a hit")
    for n in range(ROUNDS):
        writer.write(f"p{20 + n % 80}", n % 1000)
        which = n % (2 * len(readers))
        which = which if which < len(readers) else 0
        readers[which].token = writer.token
        hits[which] += readers[which].is_hit()
    asked = [sum(1 for n in range(ROUNDS) if (n % 16 if n % 16 < 8 else 0) == which) for which in range(8)]
    ratios = [hit / count for hit, count in zip(hits, asked)]
    print("hit ratio of the writer's connection, and of each other:", *(f"{ratio:.4f}" for ratio in ratios))
    assert ratios[0] >= 0.99 and min(ratios[1:]) >= 0.97, ratios
    for reader in readers:
        reader.socket.close()
    assert server.stop() == 0


@pytest.mark.parametrize("shows_token", (False, True), ids=("without a token", "with the token"))
def test_a_write_below_a_page_leaves_it_in_memory(stack, client, ladder, shows_token):
    """Each reader stays on one of the two loops; one of them is the writer itself."""
    server = stack.serve(server_loops=2)
    stack.trusted(server)
    client = Client(server, client.game, client.key)
    board_make(client)
    readers = [Connection(server, client, shows_token) for _ in range(8)]
    writer, hits = readers[0], [0] * len(readers)
    for reader in readers:  # each loop has it in memory
        wait_until(reader.is_hit, 30, "a hit")
    for n in range(ROUNDS):
        writer.write(f"p{20 + n % 80}", n % 1000)
        which = n % (2 * len(readers))
        which = which if which < len(readers) else 0
        readers[which].token = writer.token
        hits[which] += readers[which].is_hit()
    asked = [sum(1 for n in range(ROUNDS) if (n % 16 if n % 16 < 8 else 0) == which) for which in range(8)]
    ratios = [hit / count for hit, count in zip(hits, asked)]
    print("hit ratio of the writer's connection, and of each other:", *(f"{ratio:.4f}" for ratio in ratios))
    assert ratios[0] >= 0.99 and min(ratios[1:]) >= 0.97, ratios
    for reader in readers:
        reader.socket.close()
    assert server.stop() == 0


@contextlib.contextmanager
def worker_stopped(stack):
    """The tail applies nothing: a change that it applies before the server does is not the server's own."""
    worker, = modelrun.workers(stack)
    worker.send(signal.SIGSTOP)
    try:
        yield
    finally:
        worker.send(signal.SIGCONT)


@pytest.mark.parametrize("shows_token", (False, True), ids=("without a token", "with the token"))
def test_it_does_not_wait_for_the_stream(stack, client, shows_token):
    with modelrun.Setting(stack, delays=LATE) as setting:
        here = setting.here
        board_make(here)
        connections = [Connection(setting.servers[0], here, shows_token) for _ in range(6)]
        for connection in connections:
            wait_until(connection.is_hit, 30, "a hit")

        def wrote(connection, n):
            connections[0].write(f"p{20 + n % 80}", n)
            connection.token = connections[0].token
            return connection.is_hit()
        with modelrun.worker_stopped(stack):
            for connection in connections:
                wait_until(lambda: wrote(connection, 0), 30, "a hit")
            for n in range(60):
                connections[0].write(f"p{20 + n}", n + 1)
                connections[n % 6].token = connections[0].token
                assert connections[n % 6].is_hit(), n
        connections[0].write("p50", 20000)
        for connection in connections:
            connection.token = connections[0].token
            answer = connection.ask("GET", "/boards/b/top?limit=10")
            assert answer.json()["entries"][0]["player"] == "p50"
        for connection in connections:
            connection.socket.close()


def overtaken(setting):
    """Who wrote to one board on another server and then to a second board here reads the first one here: its change is still on its
    way, and the token is of the second."""
    here, there = setting.here, setting.there
    board_make(here)
    here.put_board("second")
    here.submit("second", "ann", 1)
    for n in range(10):
        setting.remembered("/boards/b/top", limit=10)
        time.sleep(0.7)  # this server has heard everything
        setting.remembered("/boards/b/top", limit=10)
        there.submit("b", f"p{10 + n}", 30000 + n)
        token = here.submit("second", "ann", 2 + n)["token"]
        page = here.request("GET", "/boards/b/top", limit=10, headers={"Ladder-Token": token}).json()
        if page["entries"][0]["score"] != 30000 + n:
            return False
    return True


@pytest.mark.parametrize("fault, is_right", (("", True), ("own-gap", False)))
def test_what_came_before_it_is_waited_for(stack, client, fault, is_right):
    with modelrun.Setting(stack, fault, delays=LATE) as setting:
        assert overtaken(setting) == is_right
