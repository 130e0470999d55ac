"""Rank reads from replicas of Redis: seen there, and as good as the primary's, whatever the replicas do."""
import itertools
import signal
import threading
import time

import pytest
import redis
import requests

import modelrun
from fault.proxy import Proxy
from harness import Client, free_port, wait_until

PLAYERS = 60


class Replica:
    """Of the stack's Redis, by a link that can go wrong."""

    def __init__(self, stack):
        self.stack, self.port = stack, free_port()
        self.link = Proxy(stack.redis_port)
        directory = stack.directory / f"redis-replica-{self.port}"
        directory.mkdir()
        self.process = stack.spawn(["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(directory),
                                    "--repl-diskless-sync-delay", "0", "--repl-timeout", "2", "--repl-ping-replica-period", "1"],
                                   f"redis-replica-{self.port}")
        self.redis = redis.Redis(port=self.port, socket_timeout=10)
        wait_until(self.is_up, 10, "the replica")
        self.follow()

    def is_up(self):
        try:
            return self.redis.ping()
        except redis.exceptions.RedisError:
            return False

    def follow(self):
        self.link.heal()
        self.redis.replicaof("127.0.0.1", self.link.port)
        wait_until(lambda: self.redis.info("replication").get("master_link_status") == "up", 20, "the replica follows")

    def close(self):
        self.process.send(signal.SIGCONT)
        self.process.kill()
        self.link.close()


@pytest.fixture(scope="module")
def replicas(stack):
    stack.redis.config_set("repl-diskless-sync-delay", 0)
    both = [Replica(stack), Replica(stack)]
    yield both
    for replica in both:
        replica.close()


@pytest.fixture(scope="module", autouse=True)
def worker(stack):
    return stack.worker()


@pytest.fixture
def serve(stack, replicas):
    """A server that reads from these replicas, and uses them now, unless it is not to be waited for; its client."""
    started = []

    def serve(*which, waits=True, **settings):
        server = stack.serve(redis_replicas=",".join(f"127.0.0.1:{r.port}" for r in which), server_loops=1, **settings)
        started.append(server)
        stack.trusted(server)
        if waits:
            wait_until(lambda: all(used(server, r) for r in which), 10, "the replicas are used")
        return server
    yield serve
    for server in started:
        server.stop()
        server.check_clean()
    for replica in replicas:
        replica.follow()


def board(stack, server):
    """Players p0 to p59, the first with the most."""
    client = Client(server, game := stack.new_game(), stack.key(game))
    client.put_board("b")
    client.submit_many([dict(board="b", player=f"p{i}", score=1000 - i) for i in range(PLAYERS)])
    return client


def known(server):
    """What the server says of its replicas, by port."""
    answer = requests.get(f"http://127.0.0.1:{server.port}/monitoring/performance", timeout=10).json()["redis"]
    return {int(r["name"].rsplit(":")[1]): r for r in answer["replicas"]}


def used(server, replica):
    return known(server).get(replica.port, {}).get("state") == "ok"


def have_all(client, replicas):
    """Until a read is each one's: before, they lack what was just written."""
    limits = itertools.count(100)

    def is_read(replica):
        before = known(client.server)[replica.port]["reads"]
        client.read("/boards/b/top", limit=next(limits))
        return known(client.server)[replica.port]["reads"] > before
    for replica in replicas:
        wait_until(lambda: is_read(replica), 10, "it has all")


def has_all(stack, replica):
    wait_until(lambda: replica.redis.get("ladder:version") == stack.redis.get("ladder:version"), 10, "the replica has all")


def asked(replica):
    """How many reads of standings it has had: by scripts, and by pages."""
    stats = replica.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("fcall_ro", "zrange"))


def reads_of_all_kinds(client):
    """Each is another question, so no memory has the answer."""
    for i in range(PLAYERS - 10):
        yield [e["player"] for e in client.read("/boards/b/top", offset=i, limit=3)["entries"]] == [f"p{n}" for n in range(i, i + 3)]
        yield client.read(f"/boards/b/players/p{i}")["rank"] == i + 1
        yield [e["player"] for e in client.read("/boards/b/range", min=1000 - i, max=1000 - i)["entries"]] == [f"p{i}"]
        yield client.read("/boards/b/at", rank=i + 1)["entry"]["player"] == f"p{i}"


def test_reads_are_the_replicas(stack, replicas, serve):
    server = serve(*replicas)
    total = 4 * (PLAYERS - 10)

    def measured():
        """-> the shares of the replicas, and the server's own count of them. A new board, so that memory has nothing of it."""
        client = board(stack, server)
        have_all(client, replicas)
        before = [asked(r.redis) for r in replicas], sum(r["reads"] for r in known(server).values())
        assert all(reads_of_all_kinds(client))
        shares = [asked(r.redis) - n for r, n in zip(replicas, before[0])]
        return shares, sum(r["reads"] for r in known(server).values()) - before[1]
    for _ in range(4):  # a machine that stands still makes a replica look lost for a moment
        shares, counted = measured()
        if sum(shares) >= total * 0.95 and counted >= total * 0.95:
            break
    assert sum(shares) >= total * 0.95 and min(shares) > total / 4 and counted >= total * 0.95, (shares, counted)
    table = stack.cli("servers", "--url", f"http://127.0.0.1:{server.port}").splitlines()
    assert all(any(line.startswith(f"127.0.0.1:{r.port} ") and " ok " in line for line in table) for r in replicas), table
    metrics = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=10).text
    for replica in replicas:
        assert f'ladder_redis_replica_used{{server="127.0.0.1:{replica.port}"}} 1' in metrics
        assert f'ladder_redis_replica_reads_total{{server="127.0.0.1:{replica.port}"}}' in metrics


def test_what_a_replica_gave_is_remembered_as_exactly(stack, replicas, serve):
    client = board(stack, serve(replicas[0]))
    have_all(client, replicas[:1])

    def is_the_replicas(limit):
        before = known(client.server)[replicas[0].port]["reads"]
        return client.get("/boards/b/top", limit=limit).headers["Ladder-Cache"] == "miss" and known(client.server)[replicas[0].port]["reads"] > before
    limit = next(n for n in range(7, 40) if is_the_replicas(n))
    assert client.get("/boards/b/top", limit=limit).headers["Ladder-Cache"] == "hit"
    client.submit("b", "p50", 500)  # below what it shows
    assert client.get("/boards/b/top", limit=limit).headers["Ladder-Cache"] == "hit"
    client.submit("b", "new", 999)  # within
    assert [e["player"] for e in client.read("/boards/b/top", limit=limit)["entries"]][:4] == ["p0", "p1", "new", "p2"]


scores = itertools.count(2000)


def own_writes_missed(client, other, rounds):
    """Each write is read by who made it, and by another server that is shown the token. -> how many were not seen."""
    missed = 0
    for score in itertools.islice(scores, rounds):
        token = client.submit("b", "me", score)["token"]
        missed += client.read("/boards/b/players/me")["score"] != score
        answer = other.request("GET", "/boards/b/players/me", headers={"Ladder-Token": token})
        missed += answer.status_code != 200 or answer.json()["score"] != score
    return missed


@pytest.mark.parametrize("fault", ["", "replica-behind"])
def test_one_that_lags_is_not_believed(stack, replicas, serve, fault):
    server, there = serve(replicas[0], faults=fault), serve(replicas[0], faults=fault)
    client = board(stack, server)
    other = Client(there, client.game, client.key)
    assert own_writes_missed(client, other, 20) == 0 or fault
    replicas[0].link.set(down_ms=(400, 400))
    missed = own_writes_missed(client, other, 40)
    if fault:
        assert missed, "the test finds it"
        return
    assert missed == 0
    assert known(server)[replicas[0].port]["behind"] > 0 and f"event=redis-replica-left host=127.0.0.1 port={replicas[0].port} " in server.log()
    replicas[0].link.set()
    wait_until(lambda: used(server, replicas[0]), 10, "it is used again")
    assert own_writes_missed(client, other, 20) == 0


@pytest.mark.parametrize("fault", ["", "replica-floor"])
def test_a_server_that_has_heard_of_nothing_believes_no_old_one(stack, replicas, serve, fault):
    """It has just started: what was acknowledged before, by another, no stream brings it."""
    client = board(stack, serve())
    replica, late, limits = replicas[0], None, itertools.cycle(range(1, 1000))

    def begin(number):
        """The replica lacks the last change; a server starts."""
        nonlocal late
        replica.link.set()
        has_all(stack, replica)
        replica.link.set(drop="down")
        client.submit("b", f"last{number}", 5000 + number)
        late = Client(serve(replica, waits=False, faults=fault), client.game, client.key)

    def first():
        return late.read("/boards/b/top", limit=next(limits))["entries"][0]["player"]

    def is_found(number):
        begin(number)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            if first() != f"last{number}":
                return True
        return False
    if fault:  # whatever else changes just then lets the server hear of a version that the replica lacks
        assert any(is_found(number) for number in range(20)), "the test finds it"
        return
    begin(0)

    def is_left():
        assert first() == "last0"
        alerts = requests.get(f"http://127.0.0.1:{late.server.port}/monitoring/alerts", timeout=10).json()["alerts"]
        return ("redis-replica-left-alone", f"127.0.0.1:{replica.port}") in [(a["alert"], a.get("server")) for a in alerts]
    wait_until(is_left, 10, "it is left alone")
    assert [first() for _ in range(10)] == ["last0"] * 10


@pytest.mark.parametrize("fault", ["", "replica-strange"])
def test_one_that_has_left_is_not_believed(stack, replicas, serve, fault):
    """It was promoted by somebody, and goes its own way: of a version as high as you like."""
    server = serve(replicas[0], faults=fault)
    client = board(stack, server)
    replica = replicas[0]
    own_writes_missed(client, client, 2)
    has_all(stack, replica)
    replica.redis.replicaof("NO", "ONE")
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s",
                        client.game)[0]
    meta = f"ladder:{{{period % 256}}}:{period}:meta".encode()
    base = meta[:-4] + replica.redis.hget(meta, "gen")
    best, = replica.redis.zrange(base + b":order", 0, 0)
    assert best.endswith(b"me")
    replica.redis.zrem(base + b":order", best)
    replica.redis.hincrby(meta, "n", -1)
    replica.redis.set("ladder:version", replica.redis.info("server")["run_id"] + f" {2 ** 62}")
    limits = itertools.cycle(range(1, 1000))

    def first():
        return client.read("/boards/b/top", limit=next(limits))["entries"][0]["player"]
    if fault:
        wait_until(lambda: first() != "me", 10, "the test finds it")
        return
    while known(server)[replica.port]["state"] != "left alone":
        assert first() == "me"
    time.sleep(1.2)  # longer than any pause: it is tried again
    assert [first() for _ in range(5)] == ["me"] * 5 and known(server)[replica.port]["state"] == "left alone"


def test_one_that_hangs_costs_no_request(stack, replicas, serve):
    server = serve(*replicas)
    client = board(stack, server)
    answers, is_over = [], threading.Event()

    def read(n):
        its, i = Client(server, client.game, client.key), n
        while not is_over.is_set():
            i += 1
            begin = time.monotonic()
            answer = its.get("/boards/b/top", offset=i % PLAYERS, limit=1 + i % 7)
            answers.append((answer.status_code, time.monotonic() - begin))
    readers = [threading.Thread(target=read, args=(1000 * n,)) for n in range(3)]
    [r.start() for r in readers]
    replicas[0].process.send(signal.SIGSTOP)
    wait_until(lambda: known(server)[replicas[0].port]["state"] == "left alone", 10, "it is left alone")
    assert own_writes_missed(client, client, 20) == 0
    count = len(answers)
    wait_until(lambda: len(answers) > count + 100, 10, "reads go on")
    assert used(server, replicas[1])
    replicas[0].process.send(signal.SIGCONT)
    wait_until(lambda: used(server, replicas[0]), 10, "it is used again")
    is_over.set()
    [r.join() for r in readers]
    assert {status for status, _ in answers} == {200}


def test_sighup_reads_the_replicas_again(stack, replicas, tmp_path):
    """None, then one, then the other; each read is right, whoever is asked."""
    config = tmp_path / "ladder.yaml"

    def write(*which):
        config.write_text("redis:\n  replicas: [" + ", ".join(f'"127.0.0.1:{r.port}"' for r in which) + "]\n")
    write()
    server = stack.serve(config=config, server_loops=2)
    stack.trusted(server)
    assert known(server) == {}
    for which in [replicas[0]], replicas, [replicas[1]], []:
        write(*which)
        server.send(signal.SIGHUP)
        wait_until(lambda: {port for port, r in known(server).items() if r["state"] == "ok"} == {r.port for r in which} == set(known(server)), 10,
                   "they are used")
        client = board(stack, server)  # which no memory has
        have_all(client, which)
        before = {port: r["reads"] for port, r in known(server).items()}
        assert all(reads_of_all_kinds(client))
        assert all(r["reads"] > before[port] for port, r in known(server).items())
    config.write_text("redis:\n  replicas: [sentinels]\n")
    server.send(signal.SIGHUP)
    wait_until(lambda: "event=reload-failed" in server.log(), 10, "it is refused")
    assert all(reads_of_all_kinds(client))
    server.stop()
    server.check_clean()


def test_random_clients_find_nothing_wrong(stack, replicas):
    """While each fault comes in turn."""
    def disturb(setting):
        for slow in ((250, 250), (0, 60)):
            replicas[0].link.set(down_ms=slow)
            time.sleep(0.6)
            replicas[0].link.set()
            time.sleep(0.3)
        replicas[1].process.send(signal.SIGSTOP)
        time.sleep(0.5)
        replicas[1].process.send(signal.SIGCONT)
        replicas[0].redis.execute_command("CLIENT", "PAUSE", "400", "ALL")
        time.sleep(0.5)
        replicas[1].redis.replicaof("127.0.0.1", "1")
        time.sleep(0.5)
        replicas[1].follow()
        wait_until(lambda: all(used(server, r) for server in setting.servers for r in replicas), 20, "they are used again")
    settings = dict(redis_replicas=",".join(f"127.0.0.1:{r.port}" for r in replicas))
    before = sum(asked(r.redis) for r in replicas)
    counts = modelrun.under_load(stack, disturb, **settings)
    assert counts["redis"] > 50, counts
    assert sum(asked(r.redis) for r in replicas) - before > 500
