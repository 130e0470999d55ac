"""The webhook: each closed period is told to its game, signed, at least once and under one id, whatever dies or hangs."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

from harness import Client, wait_until
from test_seasons import DAY, close

FAST = dict(webhook_allow_private="true", webhook_timeout_ms=1000, worker_tail_idle_ms=50)


class Receiver(http.server.ThreadingHTTPServer):
    """A game's server. `answers`: what it says to the next requests, then 204; None: it hangs until told."""
    daemon_threads = True

    def __init__(self):
        self.got, self.answers, self.go_on = [], [], threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = owner.answers.pop(0) if owner.answers else 204
                owner.got.append((self.path, dict(self.headers), body))
                if answer is None:
                    owner.go_on.wait(20)
                    answer = 204
                self.send_response(answer)
                if answer in (301, 307):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/hook"


@pytest.fixture
def receiver():
    server = Receiver()
    yield server
    server.go_on.set()
    server.shutdown()


@pytest.fixture(scope="module")
def serving(stack):
    server = stack.serve()
    yield server
    assert server.stop() == 0


@pytest.fixture
def game(stack, serving, receiver):
    """An admin of a game with a board of one day, not closed yet, and a webhook."""
    client = Client(serving, stack.new_game(), None)
    client.key = stack.key(client.game)
    client.put_board("b", windows=["daily", "all"])
    client.submit_many([dict(board="b", player=f"p{i:02}", score=(i - 10) * 10 ** 17, subscore=i, at=f"2026-01-01T12:00:00.{i:02}Z") for i in range(20)])
    client.submit("b", "p19", 91 * 10 ** 16, at="2026-01-01T13:00:00Z", metadata={"table": "é\"x"}, subscore=19)
    client.secret = stack.cli("game", "webhook", "set", client.game, receiver.url, "--top", "3").strip()
    stack.sql("update ladder.webhook set created_at = '2026-01-01'")
    yield client
    stack.cli("game", "webhook", "clear", client.game)


@pytest.fixture
def worker(stack):
    started = []

    def start(**settings):
        started.append(stack.worker(**(FAST | settings)))
        return started[-1]
    yield start
    for process in started:
        if process.is_alive():
            assert process.stop() == 0
        process.check_clean()


def deliveries(stack, client):
    return stack.sql("select d.attempts, d.delivered_at is not null, d.next_at is null, coalesce(d.last_error, '') from ladder.webhook_delivery d "
                     "join ladder.game g on g.id = d.game_id where g.name = %s order by d.id", client.game)


def hurry(stack):
    """What waits for its next try is due."""
    stack.sql("update ladder.webhook_delivery set next_at = now() where next_at is not null")


def verified(client, request):
    """The message, if its signature is right, as any library of Standard Webhooks finds."""
    _, headers, body = request
    key = base64.b64decode(client.secret.removeprefix("whsec_"))
    assert len(key) == 32 and abs(time.time() - int(headers["webhook-timestamp"])) < 60
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["Content-Type"] == "application/json"
    return json.loads(body)


def test_a_closed_period_is_told(stack, game, receiver, worker):
    close(stack, game)
    worker()
    wait_until(lambda: deliveries(stack, game) == [(1, True, True, "")], 20, "delivered")
    assert len(receiver.got) == 1 and receiver.got[0][0] == "/hook"
    message = verified(game, receiver.got[0])
    listed = [p for p in game.read("/boards/b/periods")["periods"] if p["id"] == DAY][0]
    page = game.read("/boards/b/top", window="daily", period=DAY, limit=3, fields="subscore,achieved_at,metadata")
    assert message == {"type": "period.closed", "timestamp": listed["closed_at"], "data": {
        "game": game.game, "board": "b", "window": "daily", "period": DAY, "starts_at": DAY, "ends_at": "2026-01-02T00:00:00Z",
        "closed_at": listed["closed_at"], "entries": 20, "top": page["entries"]}}
    assert page["entries"][0]["metadata"] == {"table": "é\"x"} and len(page["entries"]) == 3
    stack.roll()
    time.sleep(1)
    assert len(receiver.got) == 1


def test_again_until_it_is_taken(stack, game, receiver, worker):
    receiver.answers = [500, 307, 404]
    close(stack, game)
    worker()
    for tries, error in ((1, "it answered 500"), (2, "it answered 307"), (3, "it answered 404")):
        wait_until(lambda: deliveries(stack, game) == [(tries, False, False, error)], 20, error)
        pause = stack.sql("select extract(epoch from d.next_at - now())::float from ladder.webhook_delivery d join ladder.game g on g.id = d.game_id "
                          "where g.name = %s", game.game)[0][0]
        assert pause < 5 * 4 ** (tries - 1) * 1.2
        hurry(stack)
    wait_until(lambda: deliveries(stack, game) == [(4, True, True, "")], 20, "delivered")
    assert len({request[1]["webhook-id"] for request in receiver.got}) == 1 and len({request[2] for request in receiver.got}) == 1
    assert len(receiver.got) == 4 and all(path == "/hook" for path, _, _ in receiver.got), "no redirect is followed"
    assert all(verified(game, request) for request in receiver.got)


def test_a_worker_killed_while_it_tells(stack, game, receiver, worker):
    """The answer never came, or came and was not noted: it is told again, by the next, under the same id."""
    receiver.answers = [None]
    close(stack, game)
    first = worker(webhook_timeout_ms=20000)
    wait_until(lambda: receiver.got, 20, "the receiver has it")
    first.kill()
    receiver.go_on.set()
    assert deliveries(stack, game) == [(1, False, False, "")]
    worker()
    assert len(receiver.got) == 1
    hurry(stack)  # as if the dead one's claim were over
    wait_until(lambda: deliveries(stack, game) == [(2, True, True, "")], 20, "delivered")
    assert [verified(game, request) for request in receiver.got][0] == verified(game, receiver.got[1])
    assert len({request[1]["webhook-id"] for request in receiver.got}) == 1


def test_a_claim_is_one_workers(stack, game, receiver, worker):
    """While one worker tells, another does not; and a server that hangs is given up after the timeout."""
    receiver.answers = [None]
    close(stack, game)
    worker()
    worker()
    wait_until(lambda: deliveries(stack, game)[0][3] == "Timeout was reached", 20, "given up for now")
    assert len(receiver.got) == 1 and deliveries(stack, game) == [(1, False, False, "Timeout was reached")]


def test_a_server_that_is_down_keeps_no_other_game_waiting(stack, game, receiver, worker, serving):
    other = Client(serving, stack.new_game(), None)
    other.key = stack.key(other.game)
    other.put_board("x", windows=["hourly"])
    other.submit_many([dict(board="x", player="ann", score=1, at=f"2026-01-01T{hour:02}:00:00Z") for hour in range(12)])
    stack.cli("game", "webhook", "set", other.game, "http://127.0.0.1:9/")
    stack.sql("update ladder.webhook set created_at = '2026-01-01'")
    close(stack, other)
    close(stack, game)
    worker()
    wait_until(lambda: deliveries(stack, game) == [(1, True, True, "")], 20, "delivered")
    wait_until(lambda: any(d[0] for d in deliveries(stack, other)), 20, "the other was tried")
    assert sum(d[0] for d in deliveries(stack, other)) <= 2, "the rest waits with the first"
    stack.cli("game", "webhook", "clear", other.game)
    assert deliveries(stack, other) == []


def test_given_up_after_days(stack, game, receiver, worker):
    receiver.answers = [500]
    close(stack, game)
    stack.sql("update ladder.webhook_delivery set created_at = created_at - interval '73 hours'")
    worker()
    wait_until(lambda: deliveries(stack, game) == [(1, False, True, "it answered 500")], 20, "given up")
    assert "given up" in stack.cli("game", "webhook", "show", game.game)


def test_no_private_address(stack, game, receiver, worker):
    close(stack, game)
    worker(webhook_allow_private="false")
    wait_until(lambda: deliveries(stack, game) == [(1, False, False, "its address is one of private use")], 20, "refused")
    assert not receiver.got


def test_an_erased_player_is_not_told_of(stack, game, receiver, worker):
    close(stack, game)
    game.request("DELETE", "/players/p19")
    worker()
    wait_until(lambda: receiver.got, 20, "delivered")
    data = verified(game, receiver.got[0])["data"]
    assert data["entries"] == 19 and [(e["rank"], e["player"]) for e in data["top"]] == [(1, "p18"), (2, "p17"), (3, "p16")]


def test_a_deleted_board_is_not_told_of(stack, game, receiver, worker):
    close(stack, game)
    game.request("DELETE", "/boards/b")
    worker()
    wait_until(lambda: deliveries(stack, game) == [(1, False, True, "the board or the webhook is gone")], 20, "settled")
    assert not receiver.got


def test_setting_it(stack, game, receiver, worker):
    name = game.game
    assert stack.cli("game", "webhook", "show", name) == f"{receiver.url}\ttop 3\n"
    assert stack.cli("game", "webhook", "test", name).startswith("queued msg_")
    worker()
    wait_until(lambda: receiver.got, 20, "the test")
    assert verified(game, receiver.got[0])["type"] == "test" and verified(game, receiver.got[0])["data"] == {"game": name}
    # Another URL, the same secret; then a secret of one's own.
    assert stack.cli("game", "webhook", "set", name, receiver.url + "/2") == "set\n"
    game.secret, before = "whsec_" + base64.b64encode(b"k" * 32).decode(), game.secret
    assert stack.cli("game", "webhook", "set", name, receiver.url + "/3", "--secret", game.secret) == "set\n" and game.secret != before
    stack.cli("game", "webhook", "test", name)
    wait_until(lambda: len(receiver.got) == 2, 20, "the second test")
    assert receiver.got[1][0] == "/hook/3" and verified(game, receiver.got[1])
    wait_until(lambda: "delivered 20" in stack.cli("game", "webhook", "show", name), 10, "it says so")
    for url in ("ftp://x/", "http://", "http:///x", "https://a b/", "x"):
        assert "the URL is http://" in stack.cli("game", "webhook", "set", name, url, status=1)
    assert "--top is 0 to 1000" in stack.cli("game", "webhook", "set", name, receiver.url, "--top", "1001", status=1)
    assert "--secret is whsec_" in stack.cli("game", "webhook", "set", name, receiver.url, "--secret", "whsec_AAAA", status=1)
    assert "has no webhook" in stack.cli("game", "webhook", "show", stack.new_game(), status=1)
    assert "usage" in stack.cli("game", "webhook", "sing", name, status=2)
