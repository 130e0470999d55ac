"""The edge configurations in config/ with the real Varnish and nginx in front of ladder: hits, changes, purges, outages."""
import hashlib
import http.server
import json
import os
import re
import signal
import threading
import time

import pytest
import requests

from harness import ROOT, Client, free_port, wait_until
from test_alone import standing_of
from test_alone_views import unreadable
from test_haproxy import check_closed, operators_paths

SETTLE_MS = 300
FAST = dict(worker_tail_idle_ms=20, worker_tail_busy_ms=10, edge_batch_ms=20, edge_settle_ms=SETTLE_MS, edge_retry_max_ms=200,
            cache_board_ttl_ms=200)
EDGE_BOARD = dict(public=True, edge_max_age_s=3600)


class Edge:
    """A client of the public boards, by way of a cache."""

    def __init__(self, port):
        self.port = port
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, client, path, **headers):
        return self.session.get(f"http://127.0.0.1:{self.port}/v1/games/{client.game}{path}", headers=headers, timeout=10)

    def top(self, client, board="b"):
        answer = self.get(client, f"/boards/{board}/top")
        assert answer.status_code == 200, answer.text
        return [e["player"] for e in answer.json()["entries"]], answer.headers.get("X-Cache", "").lower()


def varnish_start(stack, directory, port, ladder_port, vcl=lambda text: text):
    text = (ROOT / "config" / "varnish.vcl").read_text()
    assert text.count('.port = "7000"') == 1
    path = directory / f"varnish-{port}.vcl"
    path.write_text(vcl(text.replace('.port = "7000"', f'.port = "{ladder_port}"')))
    work = directory / f"work-{port}"
    process = stack.spawn(["varnishd", "-F", "-j", "none", "-n", str(work), "-a", f"127.0.0.1:{port}", "-f", str(path), "-s", "malloc,32m",
                           "-p", "thread_pool_min=10", "-p", "thread_pools=1"], f"varnish-{port}", end=signal.SIGTERM)
    Edge(port)

    def is_up():
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=1).status_code == 200
        except requests.RequestException:
            return False
    wait_until(lambda: is_up() or not process.is_alive(), 20, "Varnish serves")
    assert process.is_alive(), process.log()[-3000:]
    return process


def queue(port):
    """The list of what this Varnish is to be told (work/edge_queue.h)."""
    return "ladder:{0}:purge:" + hashlib.blake2b(f"http://127.0.0.1:{port}".encode(), digest_size=32).hexdigest()[:16]


def quiet(stack, port):
    """Nothing is due any more, now or later: what the edge has from here on it keeps until something changes."""
    wait_until(lambda: stack.redis.zcard(queue(port)) == 0 and not stack.redis.exists(queue(port) + ":sending"), 10, "all was told")


def is_hit(edge, client, players, board="b"):
    return edge.top(client, board) == (players, "hit")


@pytest.fixture(scope="module")
def ports():
    return free_port()


@pytest.fixture(scope="module")
def server(stack):
    server = stack.serve(cache_board_ttl_ms=200)
    yield server
    server.stop()


class Workers:
    def __init__(self, stack, server, **settings):
        self.stack, self.settings, self.server = stack, dict(FAST, **settings), server
        self.started = []
        self.again()

    def again(self, **settings):
        self.process = self.stack.worker(**self.settings, **settings)
        self.started.append(self.process)
        wait_until(lambda: self.process.log() or not self.process.is_alive(), 10, "the worker has begun: it may be ended at once")

    def close(self):
        for process in self.started:
            if process.is_alive():
                process.stop()
            process.check_clean()


@pytest.fixture(scope="module")
def varnish(stack, server, ports, tmp_path_factory):
    """Varnish, and a worker that tells it."""
    directory = tmp_path_factory.mktemp("varnish")
    worker = Workers(stack, server, edge_servers=f"varnish+http://127.0.0.1:{ports}")
    stack.trusted(server)

    class Own:
        port = ports
        workers = worker
        process = None

        def start(self):
            # What config/varnish.vcl looks at every two seconds, oftener.
            self.process = varnish_start(stack, directory, ports, server.port, lambda vcl: vcl.replace(
                ".interval = 2s;", ".interval = 0.2s;"))
    own = Own()
    try:
        own.start()
        yield own
        worker.close()
    finally:
        if own.process:
            own.process.stop()


@pytest.fixture
def admin(stack, server, game):
    return Client(server, game, stack.key(game))


@pytest.fixture
def edge(ports):
    return Edge(ports)


@pytest.fixture
def kept(stack, varnish, admin, edge):
    """The edge keeps the page of a board on which ann has an entry."""
    admin.put_board("b", **EDGE_BOARD)
    admin.submit("b", "ann", 10)
    time.sleep(0.2)
    quiet(stack, varnish.port)
    wait_until(lambda: is_hit(edge, admin, ["ann"]), 5, "a hit")


def test_a_hit_a_change_a_fresh_page(stack, varnish, admin, edge):
    admin.put_board("b", **EDGE_BOARD)
    admin.put_board("other", **EDGE_BOARD)
    admin.submit("b", "ann", 10)
    admin.submit("other", "zoe", 1)
    wait_until(lambda: is_hit(edge, admin, ["ann"]) and is_hit(edge, admin, ["zoe"], "other"), 5, "hits")
    quiet(stack, varnish.port)
    for board, players in (("b", ["ann"]), ("other", ["zoe"])):
        edge.top(admin, board)
        assert is_hit(edge, admin, players, board)
    for i in range(5):
        admin.submit("b", f"p{i}", 100 + i)
        expected = [f"p{n}" for n in range(i, -1, -1)] + ["ann"]
        wait_until(lambda: edge.top(admin)[0] == expected, 2, "the change is seen")
    # Not one fetch of the board that did not change: its page is older than the changes.
    assert int(edge.get(admin, "/boards/other/top").headers["Age"]) >= 0
    assert edge.top(admin, "other")[1] == "hit"


def test_without_a_purge_it_stays_old(stack, server, varnish, admin, edge, kept):
    """The test above can fail: a cache that nobody tells keeps what it has."""
    varnish.workers.process.kill()
    admin.submit("b", "bob", 20)
    time.sleep(0.8)
    assert is_hit(edge, admin, ["ann"])
    varnish.workers.again()  # and what changed meanwhile is told
    wait_until(lambda: edge.top(admin)[0] == ["bob", "ann"], 5, "fresh")


@pytest.mark.parametrize("table", ["entry", "period"])
def test_a_change_that_the_worker_cannot_read_is_told(stack, varnish, admin, edge, kept, table):
    standing, board = standing_of(stack, admin)
    with unreadable(stack, table, {"entry": f"period_id = {standing}", "period": f"board_id = {board}"}[table]):
        admin.submit("b", "bob", 20)
        wait_until(lambda: edge.top(admin)[0] == ["bob", "ann"], 20, "fresh")


def test_a_change_is_told_a_second_time(stack, varnish, admin, edge):
    """What was on its way to the edge during the first purge may be old; nothing that arrives later is."""
    admin.put_board("b", **EDGE_BOARD)
    admin.submit("b", "ann", 10)
    time.sleep(0.2)
    quiet(stack, varnish.port)
    edge.top(admin)
    admin.submit("b", "bob", 20)
    wait_until(lambda: is_hit(edge, admin, ["bob", "ann"]), 3, "the new page is kept")
    wait_until(lambda: edge.top(admin) == (["bob", "ann"], "miss"), 3, "and fetched once more, though nothing changed")
    quiet(stack, varnish.port)
    assert is_hit(edge, admin, ["bob", "ann"])


def test_what_an_answer_says_at_the_edge(stack, varnish, admin, edge):
    admin.put_board("b", **EDGE_BOARD)
    admin.submit("b", "ann", 10)
    origin = Client(admin.server, admin.game).get("/boards/b/top")
    assert origin.headers["CDN-Cache-Control"] == "public, max-age=3600, must-revalidate"
    assert origin.headers["Cache-Control"] == "public, no-cache"
    assert origin.headers["Surrogate-Key"] == f"game:{admin.game} board:{admin.game}/b"
    quiet(stack, varnish.port)
    wait_until(lambda: is_hit(edge, admin, ["ann"]), 5, "a hit")
    kept = edge.get(admin, "/boards/b/top")
    assert kept.headers["Cache-Control"] == "public, no-cache" and "Surrogate-Key" not in kept.headers
    # The browser asks again each time; the edge answers.
    def answer():
        again = edge.get(admin, "/boards/b/top", **{"If-None-Match": kept.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        return again.headers["X-Cache"]
    wait_until(lambda: answer() == "hit", 5, "a hit that is not modified")  # a purge of the board's making may come between


def test_private_answers_and_tokens_go_past_the_edge(stack, varnish, admin, edge):
    admin.put_board("b", **EDGE_BOARD)
    admin.put_board("secret")
    token = admin.submit("b", "ann", 10)["token"]
    for _ in range(2):
        assert edge.get(admin, "/boards/secret/top").status_code == 401
        opened = edge.get(admin, "/boards/secret/top", Authorization=f"Bearer {admin.key}")
        assert (opened.status_code, opened.headers["X-Cache"]) == (200, "miss")
    wait_until(lambda: is_hit(edge, admin, ["ann"]), 5, "a hit")
    assert edge.get(admin, "/boards/b/top", **{"Ladder-Token": token}).headers["X-Cache"] == "miss"
    quiet(stack, varnish.port)
    assert is_hit(edge, admin, ["ann"]) or is_hit(edge, admin, ["ann"])
    # A board that is closed to the public is gone from the edge too.
    assert admin.request("PATCH", "/boards/b", {"public": False}).status_code == 200
    wait_until(lambda: edge.get(admin, "/boards/b/top").status_code == 401, 3, "it is private")
    time.sleep(1)
    assert edge.get(admin, "/boards/b/top").status_code == 401


def test_definitions_removals_and_erasures_are_told(stack, varnish, admin, edge):
    admin.put_board("b", **EDGE_BOARD)
    admin.submit_many([dict(board="b", player=p, score=s) for p, s in (("ann", 3), ("bob", 2), ("cy", 1))])
    wait_until(lambda: is_hit(edge, admin, ["ann", "bob", "cy"]), 5, "a hit")
    admin.request("DELETE", "/boards/b/players/bob")
    wait_until(lambda: is_hit(edge, admin, ["ann", "cy"]), 3, "removed")
    quiet(stack, varnish.port)
    admin.request("DELETE", "/players/ann")
    wait_until(lambda: is_hit(edge, admin, ["cy"]), 3, "erased")
    quiet(stack, varnish.port)
    assert edge.get(admin, "/boards/b").json()["score_max"] == 2**63 - 1
    admin.request("PATCH", "/boards/b", {"score_max": 77})
    wait_until(lambda: edge.get(admin, "/boards/b").json()["score_max"] == 77, 3, "the definition")
    admin.put_board("b", score_max=78, **EDGE_BOARD)
    wait_until(lambda: edge.get(admin, "/boards/b").json()["score_max"] == 78, 3, "the definition, whole")
    wait_until(lambda: is_hit(edge, admin, ["cy"]), 3, "a hit")
    quiet(stack, varnish.port)
    edge.top(admin)
    admin.request("DELETE", "/boards/b")
    wait_until(lambda: edge.get(admin, "/boards/b/top").status_code == 401, 3, "it is gone")


def test_the_edge_is_down_for_a_moment(stack, varnish, admin, edge, kept):
    """What was due meanwhile is sent when it is back, and one that lost its memory serves what is."""
    varnish.process.send(signal.SIGSTOP)  # it keeps its memory and does not answer
    child = [int(p) for p in open(f"/proc/{varnish.process.pid}/task/{varnish.process.pid}/children").read().split()]
    for pid in child:
        os.kill(pid, signal.SIGSTOP)
    admin.submit("b", "bob", 20)
    log = varnish.workers.process
    wait_until(lambda: "event=job-failed" in log.log() and "job=edge" in log.log(), 10, "a purge failed")
    admin.submit("b", "cy", 30)
    for pid in child:
        os.kill(pid, signal.SIGCONT)
    varnish.process.send(signal.SIGCONT)
    wait_until(lambda: edge.top(admin)[0] == ["cy", "bob", "ann"], 10, "fresh again")


def test_a_purge_outlives_the_worker(stack, varnish, admin, edge):
    """Killed somewhere between the change, the lists and the sending: the next worker sends what is due."""
    admin.put_board("b", **EDGE_BOARD)
    expected = []
    for i in range(5):
        time.sleep(0.1)
        quiet(stack, varnish.port)
        wait_until(lambda: edge.top(admin) == (expected, "hit"), 5, "the old page is kept")
        admin.submit("b", f"p{i}", i)
        expected.insert(0, f"p{i}")
        time.sleep(i * 0.01)
        varnish.workers.process.kill()
        varnish.workers.again()
        wait_until(lambda: edge.top(admin)[0] == expected, 5, f"the change is seen, round {i}")


def test_grace_and_outage(stack, server, varnish, admin, edge):
    """stale-while-revalidate: an old answer once, a new one behind it. stale-if-error: when ladder does not answer."""
    admin.put_board("b", public=True, edge_max_age_s=1, stale_while_revalidate_s=5, stale_if_error_s=60)
    admin.put_board("strict", public=True, edge_max_age_s=1)
    for board in ("b", "strict"):
        admin.submit(board, "ann", 10)
        edge.top(admin, board)
    quiet(stack, varnish.port)
    wait_until(lambda: is_hit(edge, admin, ["ann"]) and is_hit(edge, admin, ["ann"], "strict"), 5, "hits")
    time.sleep(1.5)
    assert edge.get(admin, "/boards/b/top").headers["X-Cache"] == "hit"  # a second and a half old
    wait_until(lambda: int(edge.get(admin, "/boards/b/top").headers["Age"]) == 0, 5, "a new one, fetched behind it")
    assert edge.get(admin, "/boards/strict/top").headers["X-Cache"] == "miss"
    server.send(signal.SIGSTOP)
    try:
        time.sleep(7)
        assert edge.top(admin) == (["ann"], "hit")
        assert edge.get(admin, "/boards/strict/top").status_code == 503
    finally:
        server.send(signal.SIGCONT)
    wait_until(lambda: edge.get(admin, "/boards/strict/top").status_code == 200, 10, "ladder is back")


@pytest.mark.parametrize("loss", ["cursors", "everything", "everything, twice"])
def test_a_redis_that_lost_its_cursors_makes_the_edge_forget_everything(stack, varnish, admin, edge, kept, loss):
    varnish.workers.process.kill()
    admin.submit("b", "bob", 20)
    # With them what would have found the change.
    if loss == "cursors":
        stack.redis.delete(*stack.redis.keys("ladder:{*}:cursor"))
    else:
        stack.redis.flushall()
    if loss == "everything, twice":  # and with it what the worker was to tell of the first loss
        varnish.workers.again(faults="stop-synced")
        wait_until(varnish.workers.process.is_stopped, 20, "the worker has looked")
        stack.redis.flushall()
        varnish.workers.process.send(signal.SIGCONT)
    else:
        varnish.workers.again()
    wait_until(lambda: edge.top(admin)[0] == ["bob", "ann"], 5, "fresh")
    assert "event=edge-purge-all" in varnish.workers.process.log()


def test_a_period_that_begins_is_a_change(stack, varnish, admin, edge):
    """A daily board's page becomes another one though nobody submits."""
    admin.put_board("b", windows=["all", "hourly"], **EDGE_BOARD)
    text = (ROOT / "sql/statements/edge_periods.sql").read_text()
    find = "\n".join(line for line in text.splitlines() if not line.startswith("--")).replace("$1", "%s").replace("$2", "%s")
    hour = stack.sql("select ladder.us_of(date_trunc('hour', now()))")[0][0]
    rows = [at for game, board, at in stack.sql(find, hour - 1, hour + 3_600_000_000) if (game, board) == (admin.game, "b")]
    assert sorted(rows) == [hour, hour + 3_600_000_000]
    # The worker puts them on the lists of its edges: here of one that does not answer, so that they stay.
    varnish.workers.process.stop()
    other = Workers(stack, varnish.workers.server, edge_servers=f"varnish+http://127.0.0.1:{free_port()}")

    def lists():
        keys = [key for key in stack.redis.keys("ladder:{0}:purge:*") if not key.endswith(b":edges")]
        return [m for key in keys for m in (stack.redis.smembers(key) if key.endswith(b":sending") else stack.redis.zrange(key, 0, -1))]
    begun = {f"@{at} board:{admin.game}/b".encode() for at in (hour, hour + 3_600_000_000)}  # the hour may end meanwhile
    wait_until(lambda: begun & set(lists()), 5, "the running hour's beginning")
    other.close()
    varnish.workers.again()
    # And what is on a list for a moment to come is sent then.
    key = queue(varnish.port)
    wait_until(lambda: stack.redis.sismember("ladder:{0}:purge:edges", key.rsplit(":", 1)[1]), 5, "the list is Varnish's")
    time.sleep(1)
    admin.submit("b", "ann", 1)
    time.sleep(0.2)
    quiet(stack, varnish.port)
    wait_until(lambda: time.time() % 3600 < 3590, 12, "the next seconds are of one hour")
    quiet(stack, varnish.port)
    wait_until(lambda: is_hit(edge, admin, ["ann"]), 5, "a hit that stays")
    due = time.time() + 1.5
    stack.redis.zadd(key, {f"@{int(due * 1e6)} board:{admin.game}/b": due * 1e6})
    while time.time() < due - 0.2:
        assert edge.top(admin)[1] == "hit"
        time.sleep(0.05)
    wait_until(lambda: edge.top(admin)[1] == "miss", 2, "it was told")


class Api(http.server.BaseHTTPRequestHandler):
    """A CDN's API that fails as often as it is told."""
    failures, requests = 0, []

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        Api.requests.append((self.path, dict(self.headers), body))
        status = 200
        if Api.failures:
            Api.failures -= 1
            status = 503
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def test_a_generic_api_is_told_in_its_own_words(stack, server, varnish, tmp_path):
    api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    game = stack.new_game()
    admin = Client(server, game, stack.key(game))
    config = tmp_path / "ladder.yaml"
    config.write_text('edge:\n  servers:\n    - >-\n      http://127.0.0.1:%d/zones/1/purge method=POST \'header=Authorization: Bearer {env:CDN_TOKEN}\'\n'
                      '      \'header=Content-Type: application/json\' \'body={"tags":[{json}], "why": "{commas}"}\' tags_max=2\n' % api.server_port)
    os.environ["CDN_TOKEN"] = "t0ken"
    varnish.workers.process.stop()  # all workers have the same edges
    worker = Workers(stack, server, config=str(config))
    try:
        stack.trusted(server)
        for name in ("b1", "b2", "b3"):
            admin.put_board(name, **EDGE_BOARD)
        wait_until(lambda: "event=edge-purged" in worker.process.log(), 5, "the first purges")
        time.sleep(1)
        del Api.requests[:]
        Api.failures = 2
        admin.submit_many([dict(board=f"b{i}", player="p", score=1) for i in (1, 2, 3)])

        def told():
            good = [json.loads(body)["tags"] for _, _, body in Api.requests[2:]]
            return {tag for tags in good for tag in tags}
        wait_until(lambda: told() == {f"board:{game}/b{i}" for i in (1, 2, 3)}, 5, "all three were told in the end")
        path, headers, body = Api.requests[-1]
        assert path == "/zones/1/purge" and headers["Authorization"] == "Bearer t0ken" and headers["Content-Type"] == "application/json"
        assert all(len(json.loads(body)["tags"]) <= 2 for _, _, body in Api.requests)
        count = len(Api.requests)
        admin.submit_many([dict(board="b1", player=f"p{i}", score=i) for i in range(3000)])
        wait_until(lambda: len(Api.requests) > count, 5, "told again")
        time.sleep(0.5)
        assert len(Api.requests) - count < 150, "many changes are one purge"
    finally:
        worker.close()
        api.shutdown()
        varnish.workers.again()


def test_a_wrong_edge_is_refused_at_the_start(stack):
    out = stack.cli("work", status=1, edge_servers="ftp://somewhere")
    assert "edge.servers" in out and "ftp://somewhere" in out


@pytest.mark.parametrize("method, target", operators_paths())
def test_operators_paths_are_closed_in_varnish(varnish, method, target):
    check_closed(varnish.port, method, target)


# ---- nginx ----

@pytest.fixture
def nginx(stack, tmp_path):
    """nginx with config/nginx-edge.conf before a ladder of its own, that the test may stop."""
    server = stack.serve(cache_board_ttl_ms=200)
    worker = Workers(stack, server)
    stack.trusted(server)
    port = free_port()
    text = (ROOT / "config" / "nginx-edge.conf").read_text()
    for old, new in (("server 127.0.0.1:7000;", f"server 127.0.0.1:{server.port};"), ("listen 127.0.0.1:8080;", f"listen 127.0.0.1:{port};"),
                     ("/var/cache/nginx/ladder", str(tmp_path / "cache"))):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (tmp_path / "edge.conf").write_text(text)
    temporary = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (tmp_path / "nginx.conf").write_text(f"daemon off;\nuser root;\npid {tmp_path}/pid;\nerror_log {tmp_path}/error.log;\nevents {{}}\n"
                                         f"http {{\naccess_log off;\n{temporary}include {tmp_path}/edge.conf;\n}}\n")
    process = stack.spawn(["/usr/sbin/nginx", "-e", str(tmp_path / "error.log"), "-c", str(tmp_path / "nginx.conf")], f"nginx-{port}", end=signal.SIGTERM)

    class Own:
        pass
    own = Own()
    own.server, own.edge = server, Edge(port)

    def is_up():
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=1).status_code == 200
        except requests.RequestException:
            return False
    wait_until(lambda: is_up() or not process.is_alive(), 10, "nginx serves")
    assert process.is_alive(), process.log() + (tmp_path / "error.log").read_text()
    game = stack.new_game()
    own.admin = Client(server, game, stack.key(game))
    yield own
    process.stop()
    worker.close()
    if server.is_alive():
        server.stop()


def test_nginx_hits_revalidates_and_outlives_an_outage(nginx):
    admin, edge = nginx.admin, nginx.edge
    admin.put_board("b", public=True, max_age_s=1, stale_if_error_s=60)
    admin.submit("b", "ann", 10)
    assert edge.top(admin) == (["ann"], "miss")
    assert edge.top(admin) == (["ann"], "hit")
    # Its time is over: asked again, with the tag; ladder says 304.
    before = not_modified(nginx.server)
    wait_until(lambda: edge.top(admin)[1] == "revalidated", 5, "a revalidation")
    wait_until(lambda: not_modified(nginx.server) > before, 3, "ladder counted it")
    # Never older than max_age_s.
    admin.submit("b", "bob", 20)
    wait_until(lambda: edge.top(admin)[0] == ["bob", "ann"], 3, "fresh within a second")
    # Private answers go past it.
    assert edge.get(admin, "/boards/b/top", Authorization=f"Bearer {admin.key}").headers["X-Cache"] == "BYPASS"
    # Down: what it has, for as long as the board allows.
    nginx.server.stop()
    wait_until(lambda: edge.top(admin) in ((["bob", "ann"], "stale"), (["bob", "ann"], "updating")), 5, "the old answer")
    wait_until(lambda: edge.get(admin, "/boards/b/players/ann").status_code == 502, 3, "what it has not it can't answer")


def test_operators_paths_are_closed_in_nginx(nginx):
    for method, target in operators_paths():
        check_closed(nginx.edge.port, method, target)


def not_modified(server):
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=50).text
    return int(re.search(r'^ladder_http_answers_total\{class="3xx"\} (\d+)', text, re.M).group(1))
