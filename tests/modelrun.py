"""The model checker's run: processes of clients (checker.py) against the same servers, and what disturbs them meanwhile."""
import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import random
import signal
import threading
import time

import checker
import compare
import model
from fault.proxy import Proxy
from harness import Client, wait_until


def child(pipe, arguments, operations, seconds, is_disturbed, stop):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pytest's would raise here
    check = checker.Checker(**arguments)
    check.is_disturbed, check.stop = is_disturbed, stop
    violation = None
    try:
        check.run(operations, seconds)
    except checker.Violation as error:
        violation = str(error)
    pipe.send((check.counts, violation))
    pipe.close()


class Disturber:
    """What goes wrong with Redis and the worker, one thing at a time, and is well again by itself."""

    def __init__(self, stack, worker, game, seed, which=None):
        self.stack, self.worker, self.game = stack, worker, game
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.which = which or ("stream", "stream", "commands", "rebuild", "flush", "worker_killed", "worker_paused", "hang")

    def stream(self):
        self.stack.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def commands(self):
        self.stack.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def rebuild(self):
        periods = compare.periods(self.stack, self.game)
        if periods:
            self.stack.redis.zadd("ladder:wanted", {period: 1 for period in periods})

    def flush(self):
        self.stack.redis.flushall()

    def worker_killed(self):
        self.worker.kill()
        self.worker = self.stack.worker()

    def worker_paused(self):
        """Nothing repairs what the servers could not apply, for a while."""
        self.worker.send(signal.SIGSTOP)
        for _ in range(4):
            self.commands()
            time.sleep(0.15)
        self.worker.send(signal.SIGCONT)

    def hang(self):
        self.stack.redis_process.send(signal.SIGSTOP)
        time.sleep(0.3)
        self.stack.redis_process.send(signal.SIGCONT)

    def step(self):
        what = self.random.choice(self.which)
        getattr(self, what)()
        self.counts[what] += 1


def run(stack, servers, game, key, operations, worker=None, processes=2, seed=1, seconds=600, progress=None, which=None, pause=(0.3, 1.1), rolls=None,
        is_disturbed=False, stop=None, **options):
    """-> (what was counted, violations, disturbances). worker: to be disturbed, with Redis; None: nothing is, by us; is_disturbed: but by
    somebody. stop: an event of multiprocessing that ends it."""
    fork = multiprocessing.get_context("fork")
    children = []
    for i in range(processes):
        here, there = fork.Pipe(False)
        arguments = dict(ports=[s.port for s in servers], game=game, key=key, seed=seed * 1000 + i, prefix=f"b{seed}-{i}-", rolls=rolls, **options)
        process = fork.Process(target=child, args=(there, arguments, operations // processes, seconds, is_disturbed or worker is not None, stop), daemon=True)
        process.start()
        there.close()
        children.append((process, here))
    disturber = worker and Disturber(stack, worker, game, seed, which)
    counts, violations = collections.Counter(), []
    disturb_at = time.monotonic()
    while children and not violations:
        for pipe in multiprocessing.connection.wait([pipe for _, pipe in children], 0.2):
            counted, violation = pipe.recv()
            counts += counted
            violations += [violation] if violation else []
            next(process for process, its in children if its is pipe).join()
            children = [(process, its) for process, its in children if its is not pipe]
        if disturber and children and time.monotonic() > disturb_at:
            disturber.step()
            disturb_at = time.monotonic() + disturber.random.uniform(*pause)
        if progress:
            progress()
    for process, _ in children:  # one has found something: that will do
        process.terminate()
        process.join()
    return counts, violations, disturber.counts if disturber else {}


def boards_make(stack, client, processes, seed, rolls, facets=model.FACETS):
    for i in range(processes):
        for board in model.boards(f"b{seed}-{i}-", facets):
            client.put_board(board.name, order=board.order, operator=board.operator, tie=board.tie, max_staleness_ms=board.max_staleness_ms,
                             windows=["hourly"] if board.rolls else ["all"], facets=list(board.facets))
            if board.rolls:
                periods_make(stack, client.game, board.name, rolls)
            yield board.name


def periods_make(stack, game, board, rolls):
    """Hours that are seconds long. Every other one is made ready beforehand, as the worker makes the next hour ready."""
    stack.sql("delete from ladder.period where board_id = (select b.id from ladder.board b join ladder.game g on g.id = b.game_id "
              "where g.name = %s and b.name = %s)", game, board)
    made = stack.sql("insert into ladder.period (board_id, window_kind, starts_at, ends_at, created_at) "
                     "select b.id, 'hourly', ladder.time_of(s), ladder.time_of(e), ladder.time_of(s) from ladder.board b "
                     "join ladder.game g on g.id = b.game_id, unnest(%s::bigint[], %s::bigint[]) as x (s, e) "
                     "where g.name = %s and b.name = %s returning id", [rolls.start(n) for n in range(rolls.count)],
                     [rolls.end(n) for n in range(rolls.count)], game, board)
    stack.redis.zadd("ladder:wanted", {id_: 1 for id_, in made[::2]})


def workers(stack):
    return [child for child in stack.children if child.command[1:2] == ["work"] and child.is_alive()]


class Setting:
    """Two servers, `here` and `there`, with faults; on slow links to Redis where delays are given (fault/proxy.py)."""

    def __init__(self, stack, faults="", delays=None, delays_there=None, loops=2, **settings):
        self.stack, self.links, self.servers = stack, [], []
        for its_delays in (delays, delays_there or delays):
            its = dict(settings)
            if its_delays:
                stream_ms, command_ms = its_delays
                self.links.append(Proxy(stack.redis_port, stream_ms=stream_ms, down_ms=command_ms))
                its["redis_url"] = f"redis://127.0.0.1:{self.links[-1].port}/0"
            self.servers.append(stack.serve(faults=faults, server_loops=loops, **its))
        if "redis_url" not in settings:
            for server in self.servers:
                stack.trusted(server)
        self.game_anew()

    def game_anew(self):
        self.game = self.stack.new_game()
        self.key = self.stack.key(self.game)
        self.here, self.there = (Client(server, self.game, self.key) for server in self.servers)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        # Those that are still to come would go on opening and closing, for whoever comes after us.
        self.stack.sql("delete from ladder.period p using ladder.board b, ladder.game g where b.id = p.board_id and g.id = b.game_id and g.name = %s "
                       "and p.window_kind = 'hourly' and p.starts_at > now()", self.game)
        for server in self.servers:
            server.stop()
        for link in self.links:
            link.close()

    def check(self, operations, seed=1, processes=2, **options):
        """-> what was counted, violations. worker=… where it is to be disturbed."""
        rolls = model.Rolls(time.time_ns() // 1000 - 1000000, 1500000, 400)
        self.boards = list(boards_make(self.stack, self.here, processes, seed, rolls, options.get("facets", model.FACETS)))
        return run(self.stack, self.servers, self.game, self.key, operations, processes=processes, seed=seed, rolls=rolls, **options)

    def remembered(self, path, **parameters):
        """Reads until the answer comes from every server's memory: so none believes that Redis lacks something. That answer."""
        def read(client):
            answer = client.get(path, **parameters)
            return answer if answer.headers["Ladder-Cache"] == "hit" else None
        wait_until(lambda: read(self.there), 10, f"{path} is remembered")
        return wait_until(lambda: read(self.here), 10, f"{path} is remembered").json()

    def same_in_the_end(self):
        """Redis equals PostgreSQL; what Redis lost last is loaded because it is asked for."""
        def is_same():
            for board in self.boards:
                self.here.get(f"/boards/{board}/top", offset=100, limit=1)
            return compare.same(self.stack, self.game, "all")
        try:
            wait_until(is_same, 60, "Redis equals PostgreSQL")
        except AssertionError as error:
            raise AssertionError(f"{error}: {compare.differences(self.stack, self.game)[:2000]}") from None


@contextlib.contextmanager
def worker_stopped(stack):
    """The tail applies and purges nothing: a change that it applies before the server does is not the server's own."""
    worker, = workers(stack)
    worker.send(signal.SIGSTOP)
    wait_until(worker.is_stopped, 30, "the worker stands still")
    try:
        yield
    finally:
        worker.send(signal.SIGCONT)


def under_load(stack, what, **settings):
    """Random clients on two servers, held to the model, while `what` happens; then Redis equals PostgreSQL, and answers again."""
    with Setting(stack, **settings) as setting:
        found, stop = [], multiprocessing.Event()
        load = threading.Thread(target=lambda: found.append(setting.check(10 ** 9, seconds=1800, is_disturbed=True, stop=stop)))
        load.start()
        try:
            wait_until(lambda: len(compare.periods(stack, setting.game, "all")) > 10, 20, "the boards are written")
            what(setting)  # here: what it starts would end with another thread
            for server in setting.servers if load.is_alive() else ():
                stack.trusted(server, 30)
            assert load.is_alive(), f"there was load to the end: {found}"
            time.sleep(1)  # and there is some behind it
        finally:
            stop.set()
            load.join()
        counts, violations, _ = found[0]
        assert not violations, violations[0]
        for server in setting.servers:
            stack.trusted(server, 30)
        setting.same_in_the_end()
        for client in (setting.here, setting.there):
            for board in setting.boards:
                wait_until(lambda: client.get(f"/boards/{board}/top").headers["Server-Timing"].startswith(("redis", "memory")), 20,
                           "Redis answers again")
        return counts
