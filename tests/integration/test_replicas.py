"""The router: a primary and two replicas of this file's own, which hang, lag, die and are promoted."""
import os
import signal
import threading
import time

import pytest
import requests

from fault.proxy import Proxy
from harness import ROOT, Client, wait_until
from test_addresses import From
from trio import FAST, Trio, send_all


@pytest.fixture(scope="module")
def trio():
    trio = Trio()
    yield trio
    trio.close()


@pytest.fixture(scope="module")
def game(trio):
    """No worker runs: Redis is not believed, and every read is one of PostgreSQL."""
    return trio.new_game()


@pytest.fixture(scope="module")
def key(trio, game):
    return trio.key(game)


@pytest.fixture
def serve(trio):
    started = []

    def serve(**settings):
        started.append(trio.serve(**settings))
        wait_until(lambda: {s["role"] for s in servers(started[-1]).values()} == {"primary", "replica"} or len(servers(started[-1])) < 2, 10,
                   "the servers are known")
        return started[-1]
    yield serve
    for process in started:
        if process.is_alive():
            process.stop()
        process.check_clean()


def performance(server):
    answer = requests.get(f"http://127.0.0.1:{server.port}/monitoring/performance", timeout=10)
    assert answer.status_code == 200
    return answer.json()["database"]


def servers(server):
    return {s["name"]: s for s in performance(server)["servers"]}


def settled(server):
    """Loops publish ten times a second: what servers() says once what was asked before is in it."""
    found = [servers(server)]

    def is_same():
        time.sleep(0.3)
        found.append(servers(server))
        return {n: s["reads"] for n, s in found[-1].items()} == {n: s["reads"] for n, s in found[-2].items()}
    wait_until(is_same, 10, "nothing is read")
    return found[-1]


def alerts(server):
    return {(a["alert"], a.get("server")) for a in requests.get(f"http://127.0.0.1:{server.port}/monitoring/alerts", timeout=10).json()["alerts"]}


def metric(server, name):
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=10).text
    return {line.split("{")[1].split("}")[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{")}


def filled(trio, server, game, key, board, count=200):
    client = Client(server, game, key)
    client.put_board(board)
    client.submit_many([dict(board=board, player=f"p{i}", score=i) for i in range(count)])
    trio.caught_up()
    return client


class Load:
    """Readers of pages, each of another one, so that none shares an answer."""

    def __init__(self, server, game, key, board, threads=4):
        self.bad, self.count, self.slowest, self.is_over = [], 0, 0.0, False
        self.server, self.game, self.key, self.board = server, game, key, board
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(threads)]

    def run(self, number):
        client, turn = Client(self.server, self.game, self.key), 0
        while not self.is_over:
            turn += 1
            started = time.monotonic()
            answer = client.get(f"/boards/{self.board}/top", limit=1 + (turn * len(self.threads) + number) % 150)
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.count += 1
            if answer.status_code != 200 or answer.json()["entries"][0]["player"] != "p199":
                self.bad.append((answer.status_code, answer.text[:300]))

    def some(self, count=150):
        goal = self.count + count
        wait_until(lambda: self.count >= goal or self.bad, 30, "reads go on")

    def __enter__(self):
        [t.start() for t in self.threads]
        self.some()
        return self

    def __exit__(self, *_):
        self.is_over = True
        [t.join() for t in self.threads]
        assert not self.bad, (len(self.bad), self.count, self.bad[:3])


def test_reads_leave_the_primary_in_proportion(trio, serve, game, key):
    server = serve(database_balance="weighted", database_replicas=trio.lines("weight=3", "weight=1"), server_loops=1,
                   database_stall_ms=20000)
    filled(trio, server, game, key, "shares")
    before = [trio.selects(port) for port in (trio.primary_port, trio.replica_port, trio.second_port)]
    with Load(server, game, key, "shares") as load:
        load.some(1200)
    primary, first, second = (trio.selects(port) - was for port, was in
                              zip((trio.primary_port, trio.replica_port, trio.second_port), before))
    total = primary + first + second
    assert total >= 1200 and primary <= total / 100, (primary, first, second)
    assert abs(float(first / total) - 0.75) < 0.05, (primary, first, second)


@pytest.mark.parametrize("balance", ["round_robin", "least_connections", "client_hash", "latency"])
def test_every_way_to_choose_uses_replicas(trio, serve, game, key, balance):
    server = serve(database_balance=balance, server_loops=1)
    client = filled(trio, server, game, key, balance)
    before = settled(server)
    sessions = [{"Ladder-Session": f"session {i}"} for i in range(60)]
    for session in sessions:
        for _ in range(2):
            assert client.request("GET", f"/boards/{balance}/top", headers=session).status_code == 200
    done = wait_until(lambda: (lambda now: {n: now[n]["reads"] - before[n]["reads"] for n in now} if
                               sum(now[n]["reads"] - before[n]["reads"] for n in ("first", "second")) >= 120 else None)(servers(server)), 5, "they were counted")
    # One reader at a time: by latency that is always the one that was faster.
    assert done["first"] + done["second"] >= 120 and (balance == "latency" or (done["first"] > 10 and done["second"] > 10)), done
    if balance == "client_hash":
        assert done["first"] % 2 == 0, "a client stays where it was"


def test_a_client_without_a_name_is_its_address(trio, serve, game, key):
    """Of a public board, without a key: each address stays with one replica, behind a trusted proxy too; what others say of
    themselves does not count."""
    server = serve(database_balance="client_hash", server_loops=1, server_proxies="127.0.0.9")
    filled(trio, server, game, key, "addresses")
    Client(server, game, key).request("PATCH", "/boards/addresses", {"public": True})
    path = f"/v1/games/{game}/boards/addresses/top"

    def replicas_of(clients, repeats=4):
        """Which replica answers each: (address of the connection, its X-Forwarded-For)."""
        found = []
        for address, forwarded in clients:
            before = settled(server)
            for _ in range(repeats):
                with From(server.port, address) as wire:
                    field = f"X-Forwarded-For: {forwarded}\r\n" if forwarded else ""
                    wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{field}\r\n".encode())
                    assert wire.answer().status == 200
            after = settled(server)
            reads = {name: after[name]["reads"] - before[name]["reads"] for name in ("first", "second")}
            assert sorted(reads.values()) == [0, repeats], (address, forwarded, reads)
            found.append(max(reads, key=reads.get))
        return found
    numbers = range(2, 9)
    direct = replicas_of([(f"127.0.0.{n}", None) for n in numbers])
    assert set(direct) == {"first", "second"}
    assert replicas_of([("127.0.0.9", f"198.51.100.1, 127.0.0.{n}:4711") for n in numbers], 2) == direct
    assert replicas_of([(f"127.0.0.{n}", f"127.0.0.{m}") for n, m in zip(numbers, reversed(numbers))], 2) == direct


def test_the_own_zone_comes_first(trio, serve, game, key):
    server = serve(database_zone="eu", database_replicas=trio.lines("zone=us", "zone=eu"), server_loops=1, database_stall_ms=20000)
    filled(trio, server, game, key, "zones")
    before = settled(server)
    with Load(server, game, key, "zones"):
        pass
    after = settled(server)
    assert after["first"]["reads"] == before["first"]["reads"] and after["second"]["reads"] > before["second"]["reads"] + 100
    trio.second.kill()
    try:
        with Load(server, game, key, "zones"):
            pass
        wait_until(lambda: servers(server)["first"]["reads"] > after["first"]["reads"] + 100, 5, "the other zone helps out")
    finally:
        trio.second = trio.postgres_start("second", trio.second_port)


def test_a_write_is_seen_however_late_the_replicas_are(trio, serve, game, key):
    """Replay stands still on one, then on both: a token read on another server still sees its write; reads without one leave the
    replica that is late."""
    here, there = serve(), serve(database_max_lag_ms=500)
    writer = filled(trio, here, game, key, "late")
    reader = Client(there, game, key)
    written = [0]

    def write_and_look(count):
        for i in range(count):
            written[0] += 1
            token = writer.submit("late", f"w{written[0] % 7}", 1000 + written[0])["token"]
            seen = reader.request("GET", f"/boards/late/players/w{written[0] % 7}", headers={"Ladder-Token": token})
            assert seen.status_code == 200 and seen.json()["score"] == 1000 + written[0], seen.text
    write_and_look(150)
    paused = []
    try:
        for port in (trio.replica_port, trio.second_port):
            trio.sql("select pg_wal_replay_pause()", url=trio.url(port))
            paused.append(port)
            write_and_look(100)
            if len(paused) == 1:
                until = time.monotonic() + 15
                while servers(there)["first"]["state"] != "late":
                    assert time.monotonic() < until, servers(there)
                    write_and_look(5)
                assert ("replica-late", "first") in alerts(there)
                before = servers(there)
                for i in range(60):
                    assert reader.get("/boards/late/top", limit=1 + i).status_code == 200
                time.sleep(0.3)
                after = servers(there)
                assert after["second"]["reads"] >= before["second"]["reads"] + 50
                assert after["first"]["reads"] <= before["first"]["reads"] + 2, "it is left alone"
    finally:
        for port in paused:
            trio.sql("select pg_wal_replay_resume()", url=trio.url(port))
    wait_until(lambda: all(s["state"] == "ok" for s in servers(there).values()), 20, "they caught up")
    assert not {a for a in alerts(there) if a[0] not in ("redis-not-trusted", "worker-silent")}


def test_that_a_read_which_is_not_checked_would_be_found(trio, serve, game, key):
    here, there = serve(), serve(faults="replica-unchecked")
    writer, reader = filled(trio, here, game, key, "control"), Client(there, game, key)
    ports = (trio.replica_port, trio.second_port)
    [trio.sql("select pg_wal_replay_pause()", url=trio.url(port)) for port in ports]
    try:
        token = writer.submit("control", "w", 1000)["token"]
        assert reader.request("GET", "/boards/control/players/w", headers={"Ladder-Token": token}).status_code == 404
    finally:
        [trio.sql("select pg_wal_replay_resume()", url=trio.url(port)) for port in ports]


def test_servers_that_hang_or_die_are_not_noticed(trio, serve, game, key):
    link = Proxy(trio.second_port)
    server = serve(database_replicas=trio.lines(second_port=link.port))
    filled(trio, server, game, key, "faults")

    def all_well():
        """One at a time: while two are away nobody could take over from the third."""
        wait_until(lambda: all(s["state"] == "ok" and s["breaker"] == "closed" for s in servers(server).values()), 30, "all are well")
    try:
        with Load(server, game, key, "faults") as load:
            for process in (trio.replica, trio.primary):
                send_all(process, signal.SIGSTOP)
                load.some(150)
                send_all(process, signal.SIGCONT)
                load.some(50)
                all_well()
            link.set(drop="both")
            load.some(150)
            link.heal()
            all_well()
            trio.replica.kill()
            load.some(150)
            trio.replica = trio.postgres_start("replica", trio.replica_port)
            all_well()
            trio.primary.kill()
            load.some(150)
            refused = Client(server, game, key).request("POST", "/boards/faults/scores", {"player": "p0", "score": 1})
            assert refused.status_code == 503 and refused.headers["Retry-After"]
            wait_until(lambda: any(a == "no-primary" for a, _ in alerts(server)), 10, "an alert")
            trio.primary = trio.postgres_start("primary", trio.primary_port)
            all_well()
            writer = Client(server, game, key)
            wait_until(lambda: writer.request("POST", "/boards/faults/scores", {"player": "p0", "score": 1}).status_code == 200, 10, "writes go on")
        assert load.slowest < 8, "no read waited for a server that does not answer"
    finally:
        link.close()


def test_a_read_that_lost_its_connection_is_not_sent_to_who_is_unhealthy(trio, serve, game, key):
    """Nobody is left but the primary, and it ends sessions: that is tried again there, not at those who say nothing."""
    server = serve(database_health_interval_ms=100, database_health_timeout_ms=500)
    filled(trio, server, game, key, "ended")
    replicas = (trio.replica, trio.second)
    names = [name for name, s in servers(server).items() if s["role"] == "replica"]
    assert len(names) == 2

    def reads():
        return sum(servers(server)[name]["reads"] for name in names)
    try:
        with Load(server, game, key, "ended") as load:
            for process in replicas:
                send_all(process, signal.SIGSTOP)
            wait_until(lambda: all(servers(server)[name]["state"] == "unhealthy" for name in names), 20, "it is noticed")
            load.some(100)
            before = reads()
            for _ in range(4):
                trio.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ladder serve'")
                time.sleep(0.5)  # its probe was ended too: several checks
                load.some(100)
            assert reads() == before
            for process in replicas:
                send_all(process, signal.SIGCONT)
            wait_until(lambda: all(s["state"] == "ok" and s["breaker"] == "closed" for s in servers(server).values()), 30, "all are well")
    finally:
        for process in replicas:
            send_all(process, signal.SIGCONT)


def test_one_that_is_only_slow_is_left_alone(trio, serve, game, key):
    """It answers, and rightly, but most of a second later than the other: until a trial finds it mended."""
    link = Proxy(trio.second_port)
    server = serve(database_replicas=trio.lines(second_port=link.port), database_balance="round_robin", server_loops=1, database_stall_ms=20000,
                   database_outlier_factor=2, database_outlier_min_ms=100, database_health_timeout_ms=10000)
    filled(trio, server, game, key, "slow")
    left = lambda: [line for line in server.log().splitlines() if "event=server-left-alone" in line]  # noqa: E731
    try:
        with Load(server, game, key, "slow", threads=8) as load:
            assert servers(server)["second"]["reads"] > 20 and not left(), left()
            link.set(down_ms=(800, 800))
            wait_until(lambda: len(left()) > 1, 30, "it is left alone, and again after a trial")
            assert all("server=second" in line for line in left()) and "much longer than the others" in left()[0] and "as slow as before" in left()[1]
            assert ("server-left-alone", "second") in alerts(server)
            link.heal()
            wait_until(lambda: servers(server)["second"]["breaker"] == "closed", 30, "it is taken back")
            before = servers(server)["second"]["reads"]
            load.some(200)
            wait_until(lambda: servers(server)["second"]["reads"] > before + 50, 10, "it has its share again")
    finally:
        link.close()


def test_what_a_lost_primary_had(trio, serve, game, key):
    """A write that reached no replica before the primary was lost: who shows its token is told to wait; others get what there is,
    and are told so."""
    server = serve(database_read_queue_timeout_ms=500)
    client = Client(server, game, key)
    client.put_board("behind")
    client.put_board("first")
    first = client.submit("behind", "ann", 1)["token"]
    trio.caught_up()
    for port in (trio.replica_port, trio.second_port):
        trio.sql("select pg_wal_replay_pause()", url=trio.url(port))
    try:
        second = client.submit("behind", "ann", 2)["token"]
        seen = client.get("/boards/behind/players/ann")
        assert seen.json()["score"] == 2 and "behind" not in seen.headers["Server-Timing"]
        opened = client.submit("first", "ann", 3)["token"]  # the board's first period, too
        made = client.request("PUT", "/boards/made", {}).headers["Ladder-Token"]
        trio.primary.kill()

        def ask(token=None, path="/boards/behind/players/ann"):
            return client.request("GET", path, headers={"Ladder-Token": token} if token else None)
        for token in None, first:
            answer = wait_until(lambda: (a := ask(token)).status_code == 200 and a, 20, "a replica answers")
            assert answer.json()["score"] == 1 and answer.headers["Server-Timing"].startswith('replica;desc="behind", total'), answer.headers
        for path in "/boards/behind/players/ann", "/boards/behind/players/ann/history":
            answer = ask(second, path)
            assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
        for path in "/boards/first/top", "/boards/first/stats", "/boards/first/compare":
            answer = ask(opened, path)
            assert answer.status_code == 503 and answer.headers["Retry-After"], (path, answer.text)
        answer = ask(made, "/boards")
        assert answer.status_code == 503 and answer.headers["Retry-After"], answer.text
        answer = ask(first, "/boards")
        names = [board["name"] for board in answer.json()["boards"]]
        assert "first" in names and "made" not in names and answer.headers["Server-Timing"].startswith('replica;desc="behind", total'), answer.headers
        answer = ask(first, "/boards/first/top")
        assert answer.json()["entries"] == [] and answer.headers["Server-Timing"].startswith('replica;desc="behind", total'), answer.headers
        text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=10).text
        assert sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("ladder_reads_behind_total")) >= 2
    finally:
        for port in (trio.replica_port, trio.second_port):
            trio.sql("select pg_wal_replay_resume()", url=trio.url(port))
        if not trio.primary.is_alive():
            trio.primary = trio.postgres_start("primary", trio.primary_port)
    wait_until(lambda: ask(second).status_code == 200, 20, "the primary is back")
    assert ask(second).json()["score"] == 2 and "behind" not in ask().headers["Server-Timing"]


def test_a_replica_comes_and_goes_while_it_is_used(trio, serve, game, key, tmp_path):
    server = serve()
    filled(trio, server, game, key, "moves")
    address = ["--url", f"http://127.0.0.1:{server.port}"]

    def ask(*words, **options):
        return trio.cli("servers", *words, *address, login="ladder_serve", **options)
    with Load(server, game, key, "moves") as load:
        table = ask().splitlines()
        assert table[0].split()[:3] == ["name", "role", "state"] and {line.split()[0] for line in table[1:]} == {"primary", "first", "second"}
        ask("drain", "first")
        wait_until(lambda: servers(server)["first"]["state"] == "drained" and servers(server)["first"]["in_flight"] == 0, 5, "it is drained")
        time.sleep(0.3)
        before = servers(server)
        load.some(200)
        after = servers(server)
        assert after["first"]["reads"] == before["first"]["reads"] and after["second"]["reads"] > before["second"]["reads"]
        assert metric(server, "ladder_server_drained") == {'server="primary"': 0, 'server="first"': 1, 'server="second"': 0}
        ask("undrain", "first")
        ask("remove", "second")
        wait_until(lambda: "second" not in servers(server), 5, "it is gone")
        load.some(200)
        wait_until(lambda: trio.sql("select count(*) from pg_stat_activity where usename = 'ladder_serve'", url=trio.url(trio.second_port))[0][0] == 0,
                   10, "its connections are closed")
        ask("add", "name=third zone=eu " + trio.url(trio.second_port, "ladder_serve"))
        wait_until(lambda: servers(server).get("third", {}).get("reads", 0) > 50, 10, "the new one is used")
        assert "no server" in ask("drain", "nobody", status=1)
        assert "two servers" in ask("add", "name=third host=x", status=1)
        assert "understands" in ask("add", "frob=1", status=1)
    secret = requests.post(f"http://127.0.0.1:{server.port}/monitoring/servers", json={"drain": "first"}, timeout=50)
    assert secret.status_code == 401


def test_sighup_reads_the_servers_again(trio, game, key, tmp_path):
    config = tmp_path / "ladder.yaml"
    environment = {k: v for k, v in trio.environment("ladder_serve", **FAST).items() if k not in ("LADDER_DATABASE_REPLICAS", "LADDER_CONFIG")}

    def write(*lines):
        config.write_text("database:\n  replicas:\n" + "".join(f'    - "{line}"\n' for line in lines))
    first, second = trio.lines().split(",")
    write(first)
    server = trio.spawn([os.environ.get("LADDER_BIN", str(ROOT / "build/test/ladder")), "serve", "--config", str(config)], "serve-reload", environment)
    server.port = int(wait_until(lambda: [x for x in server.log().splitlines() if "event=listening" in x], 10, "it listens")[0].split("port=")[1].split()[0])
    wait_until(lambda: requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=50).status_code == 200, 10, "it is ready")
    filled(trio, server, game, key, "reload")
    with Load(server, game, key, "reload") as load:
        write(first, second)
        server.send(signal.SIGHUP)
        wait_until(lambda: servers(server).get("second", {}).get("reads", 0) > 50, 10, "the second one is used")
        write(second)
        server.send(signal.SIGHUP)
        wait_until(lambda: "first" not in servers(server), 10, "the first one is gone")
        load.some(100)
        config.write_text("database:\n  replicas: [frob=1]\n")
        server.send(signal.SIGHUP)
        wait_until(lambda: "event=reload-failed" in server.log(), 10, "it is refused")
        load.some(50)
    assert set(servers(server)) == {"primary", "second"}
    assert server.stop() == 0


def test_a_board_says_what_its_commits_wait_for(trio, serve, game, key):
    server = serve()
    client = Client(server, game, key)
    client.put_board("prize", synchronous_commit="remote_apply")
    client.put_board("arcade", synchronous_commit="local")
    client.put_board("plain")
    [client.submit(board, "first", 1) for board in ("prize", "arcade", "plain")]  # their periods are made
    assert [client.get(f"/boards/{b}").json()["synchronous_commit"] for b in ("prize", "arcade", "plain")] == ["remote_apply", "local", "default"]
    refused = client.request("PATCH", "/boards/plain", {"synchronous_commit": "off"})
    assert refused.status_code == 400 and "/synchronous_commit" in refused.text
    ports = trio.replica_port, trio.second_port
    trio.sql("alter system set synchronous_standby_names = 'ANY 1 (*)'")
    trio.sql("select pg_reload_conf()")
    answers = {}

    def submit(name, *boards):
        """The statuses of its items. Each has a player of its own: no one waits for a row that another has locked."""
        own = Client(server, game, key)
        if len(boards) == 1:
            answers[name] = [own.request("POST", f"/boards/{boards[0]}/scores", {"player": name, "score": 1}).status_code]
            return
        body = {"scores": [{"board": b, "player": name, "score": 1} for b in boards]}
        answers[name] = [r["status"] for r in own.request("POST", "/scores", body).json()["results"]]
    try:
        for port in ports:
            trio.sql("select pg_wal_replay_pause()", url=trio.url(port))
            wait_until(lambda: trio.sql("select pg_get_wal_replay_pause_state()", url=trio.url(port)) == [("paused",)], 10, "it is paused")
        waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
        prize = threading.Thread(target=submit, args=("prize", "prize"))
        prize.start()
        wait_until(lambda: trio.sql(waiting)[0][0] == 1, 10, "it waits")
        # It has a connection of its own; those that ask for less go by another.
        wait_until(lambda: submit("plain", "plain") or answers["plain"] == [200], 10, "a flush on a standby is enough")
        wait_until(lambda: submit("arcade", "arcade") or answers["arcade"] == [200], 10, "the primary's disk is enough")
        mixed = threading.Thread(target=submit, args=("mixed", "arcade", "prize", "plain"))
        mixed.start()
        wait_until(lambda: trio.sql(waiting)[0][0] == 2, 10, "all of a transaction wait for the strictest")
        assert "prize" not in answers and "mixed" not in answers, answers
        [trio.sql("select pg_wal_replay_resume()", url=trio.url(port)) for port in ports]
        [call.join() for call in (prize, mixed)]
        assert answers["prize"] == [200] and answers["mixed"] == [200] * 3
    finally:
        [trio.sql("select pg_wal_replay_resume()", url=trio.url(port)) for port in ports]
        trio.sql("alter system reset synchronous_standby_names")
        trio.sql("select pg_reload_conf()")


def test_promotion_and_the_old_primary_back(trio, serve, game, key):
    """The last test of the file: what it leaves is another cluster."""
    server = serve(database_synchronous_commit="remote_apply")
    trio.sql("alter system set synchronous_standby_names = 'ANY 1 (*)'")
    trio.sql("select pg_reload_conf()")
    client = filled(trio, server, game, key, "failover")
    # Only the one that will be promoted can confirm: what is acknowledged is there.
    trio.sql("select pg_wal_replay_pause()", url=trio.url(trio.second_port))
    acknowledged, over, statuses = {}, threading.Event(), []

    def write(number):
        own, score = Client(server, game, key), 1000
        while not over.is_set():
            score += 1
            answer = own.request("POST", "/boards/failover/scores", {"player": f"w{number}", "score": score})
            statuses.append((time.monotonic(), answer.status_code))
            if answer.status_code == 200:
                acknowledged[number] = score, answer.json()["token"]
            else:
                assert answer.status_code == 503, answer.text
                time.sleep(0.01)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    [t.start() for t in writers]
    wait_until(lambda: len(acknowledged) == 3 and len(statuses) > 100, 20, "writes")
    trio.primary.kill()
    wait_until(lambda: statuses[-1][1] == 503, 10, "nobody takes writes")
    before = dict(acknowledged)
    trio.sql("select pg_wal_replay_resume()", url=trio.url(trio.second_port))
    trio.sql("select pg_promote(true, 30)", url=trio.url(trio.replica_port))
    promoted = time.monotonic()
    wait_until(lambda: statuses[-1][1] == 200, 15, "writes go on, without a restart")
    print("writes after", time.monotonic() - promoted)
    over.set()
    [t.join() for t in writers]
    for number, (score, token) in before.items():
        answer = client.request("GET", f"/boards/failover/players/w{number}", headers={"Ladder-Token": token})
        assert answer.status_code == 200 and answer.json()["score"] >= score, (answer.text, score)
    wait_until(lambda: servers(server)["first"]["role"] == "primary", 5, "it is shown as the primary")
    wait_until(lambda: servers(server)["second"]["state"] == "late", 10, "the one that follows the old timeline is not believed")
    # The old primary does not know that it was replaced.
    trio.sql("alter system set synchronous_standby_names = ''", url=trio.url(trio.replica_port))
    trio.sql("select pg_reload_conf()", url=trio.url(trio.replica_port))
    trio.primary = trio.postgres_start("primary", trio.primary_port)
    wait_until(lambda: ("split-brain", "primary") in alerts(server), 15, "an alert")
    assert "event=server-fenced" in server.log() and metric(server, "ladder_server_fenced")['server="primary"'] == 1
    was = trio.sql("select count(*) from ladder.score_event")[0][0]
    for i in range(60):
        client.submit("failover", "after", i)
        assert client.read("/boards/failover/players/after")["score"] == i
    assert trio.sql("select count(*) from ladder.score_event")[0][0] == was, "it got no write"
    assert trio.sql("select count(*) from ladder.score_event where player = 'after'", url=trio.url(trio.replica_port))[0][0] == 60
    # A command finds the one that leads, too.
    assert game in trio.cli("game", "list", database_url=trio.url(trio.primary_port),
                            database_replicas=trio.url(trio.replica_port))
