"""Real servers for the integration tests: PostgreSQL (primary and replica), Redis, ladder.

All are direct children, waited for, with every setting on the command line, under one temporary directory and on free
loopback ports. Nothing here sleeps for luck: wait_until polls a condition with a bound.
"""
import contextlib
import hashlib
import http.cookiejar
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import psycopg2
import redis
import requests

import described

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.path.abspath(os.environ.get("LADDER_BIN", ROOT / "build" / "test" / "ladder"))
PG = "/usr/lib/postgresql/15/bin/"
SECRET = "integration-test-secret"
# Who logs in to PostgreSQL, and the group role that gives him his rights.
LOGINS = {"ladder_serve": "ladder_app", "ladder_work": "ladder_worker", "ladder_owner": "ladder_migrate"}
POSTGRES_USER = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
# What a log says only when something broke that no test may break.
BROKEN = re.compile(r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:|ThreadSanitizer|event=assertion-failed"
                    r"|was terminated by signal (6|11)\b|UTC \[\d+\] PANIC: |REDIS BUG REPORT START"
                    r"|^==\d+== \S", re.MULTILINE)  # valgrind
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"


def free_port():
    """Below those that the kernel gives to connections by itself."""
    while True:
        port = random.SystemRandom().randrange(12000, 32000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def patience():
    """How many times as long as on an idle machine something may take here and now: processes that want to run, by core."""
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def wait_until(condition, timeout=10.0, what="the condition"):
    """Waits for a condition, looking often, at first each 10 ms. A bound below ten seconds is a promise of the product, and holds on a machine that is not
    overloaded: it is stretched as the load is over the number of cores. Any other bound only ends a test that hangs, so it is
    ten times as long."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        assert waited < timeout * (patience() if timeout < 10 else 10), f"not within {waited:.1f} s (bound {timeout} s, load {os.getloadavg()[0]}): {what}"
        time.sleep(min(0.01 + waited / 20, 0.05))  # to look costs too: a session of PostgreSQL takes 6 to 10 ms of CPU


def place():
    """Where a stack's files are: in memory, where there is much of it. PostgreSQL flushes there as it would on a disk; the disk's time is none of
    what the tests are about. What a run left there that was killed is removed: it would take memory for good."""
    shm, enough = pathlib.Path("/dev/shm"), 8 << 30
    for left in shm.glob("ladder-test-[0-9]*-*"):
        with contextlib.suppress(OSError):
            if not pathlib.Path("/proc", left.name.split("-")[2]).exists() and time.time() - left.stat().st_mtime > 3600:
                shutil.rmtree(left)
    memory = int(re.search(r"^MemAvailable: +(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M)[1]) << 10
    return shm if shm.is_dir() and min(shutil.disk_usage(shm).free, memory) >= enough else None


def as_postgres(command):
    return ["setpriv", *POSTGRES_USER, "--", *command] if POSTGRES_USER else command


def is_in_use(directory):
    """Is a process at work in it? Backends outlive a killed postmaster for a moment."""
    def cwd(process):
        try:
            return os.readlink(process / "cwd")
        except OSError:
            return None
    directory = os.path.realpath(directory)
    return any(cwd(process) == directory for process in pathlib.Path("/proc").glob("[0-9]*"))


class Process:
    """A child with a log file. It ends with us, however we end; so start it from the main thread. host: what brings a command there."""

    def __init__(self, command, log, environment=None, cwd="/", user=(), end=signal.SIGKILL, host=()):
        self.command = command
        self.end = end
        self.log_path = log
        self.log_from = log.stat().st_size if log.exists() else 0
        self.log_to = -1  # no end yet: the next process of the name writes behind it
        with open(log, "ab") as out:
            self.child = subprocess.Popen([*host, "setpriv", "--pdeathsig", end.name[3:], *user, "--", *command], stdout=out, stderr=out,
                                          stdin=subprocess.DEVNULL, env=environment, cwd=cwd, start_new_session=True)
        self.was_killed = False
        self.is_excused = False  # from check_clean: what it ran on was taken away

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        with open(self.log_path, "rb") as f:
            f.seek(self.log_from)
            return f.read(self.log_to - self.log_from if self.log_to >= 0 else -1).decode(errors="replace")

    def is_alive(self):
        return self.status() is None

    def status(self, timeout=0):
        """None: it runs. Whoever sees it end ends what it had started (Varnish's child outlives a killed parent), once: later its number may be that
        of another process, even of another's PostgreSQL."""
        was_seen = self.child.returncode is not None
        status = self.child.wait(timeout) if timeout != 0 else self.child.poll()
        if status is not None and not was_seen:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return status

    def send(self, number):
        if self.is_alive():
            self.child.send_signal(number)

    def wait(self, timeout=None):
        """Until it has ended."""
        return self.status(timeout)

    def kill(self):
        self.was_killed = True
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self, number=signal.SIGTERM, timeout=200):
        self.send(number)
        try:
            status = self.wait(timeout)
            self.was_killed = self.was_killed or status == -number and not self.log()  # it had not begun yet
            return status
        except subprocess.TimeoutExpired:
            threads = self.threads()
            self.kill()
            raise AssertionError(f"{self.command[0:2]} did not stop:\n{self.log()[-2000:]}\n{threads}")

    def threads(self):
        """What each thread waits for: its number, where in the kernel, the system call with its arguments."""
        def text(task, name):
            with contextlib.suppress(OSError):
                return (task / name).read_text().strip()
        return "\n".join(f"{task.name} {text(task, 'wchan')} {text(task, 'syscall')}" for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*"))

    def is_stopped(self):
        """By SIGSTOP, as where it has come to a fault_point; or it has ended."""
        return not self.is_alive() or pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def check_clean(self):
        """No sanitizer report, no failed assertion, no crash that the test did not order."""
        if self.is_excused:
            return
        text = self.log()
        sign = BROKEN.search(text)
        assert not sign, f"{self.command[0:2]}:\n{text[max(0, sign.start() - 1000):sign.start() + 3000]}"
        status = self.status()
        assert status is None or status >= 0 or self.was_killed, f"{self.command[0:2]} died of signal {-status}:\n{text[-4000:]}"


class Client:
    """A game's API with one key."""

    def __init__(self, server, game, key=None):
        self.server, self.game, self.key = server, game, key
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))  # tokens are shown where a test says so

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server.port}/v1/games/{self.game}"

    def request(self, method, path, body=None, headers=None, **parameters):
        url = (self.base + path) if not path.startswith("http") else path
        if parameters:
            url += "?" + urllib.parse.urlencode(parameters)
        sent = {"Authorization": "Bearer " + self.key} if self.key else {}
        if isinstance(body, (dict, list)):
            sent["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        sent.update(headers or {})
        answer = self.session.request(method, url, data=body, headers=sent, timeout=300)
        self.check_described(answer)
        return answer

    def check_described(self, answer):
        """Every answer that a test gets is one that the description has."""
        sent = answer.request
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body if isinstance(sent.body, bytes) else b""
        described.check(sent.method, sent.path_url, sent.headers, body, answer.status_code, answer.headers, answer.content)

    def get(self, path, **parameters):
        return self.request("GET", path, **parameters)

    def read(self, path, **parameters):
        answer = self.get(path, **parameters)
        if answer.status_code == 503 and patience() > 4:  # not on a machine this busy
            time.sleep(float(answer.headers["Retry-After"]))
            answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def raw(self, data, timeout=100):
        """Sends these bytes on a connection of their own; returns what comes back until the server closes it."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout) as s:
            s.sendall(data)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def put_board(self, name, **definition):
        answer = self.request("PUT", f"/boards/{name}", definition)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def submit(self, board, player, score, headers=None, **fields):
        answer = self.request("POST", f"/boards/{board}/scores", dict(player=player, score=score, **fields), headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit_many(self, rows):
        lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
        answer = self.request("POST", "/scores", lines, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    def pages(self, board, limit=1000, **parameters):
        """Every entry, by cursor."""
        entries, cursor = [], None
        while True:
            page = self.read(f"/boards/{board}/top", limit=limit, **({"cursor": cursor} if cursor else parameters))
            entries += page["entries"]
            cursor = page["next"]
            if not cursor:
                return entries


class Stack:
    """One PostgreSQL primary, one streaming replica, one Redis, migrated."""

    postgres_settings = {}  # more than what every PostgreSQL here has
    redis_options = []
    needs_disk = False

    @staticmethod
    def redis_function(name):
        """As scripts/embed names them: by a hash of their text."""
        text = (ROOT / "src/kv/ladder.lua").read_text()
        return f"ladder_{hashlib.sha256(text.encode()).hexdigest()[:8]}_{name}"

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"ladder-test-{os.getpid()}-", dir=None if self.needs_disk else place()))
        os.chmod(self.directory, 0o755)
        self.children = []
        self.games = 0
        try:
            self.start()
            self.migrate()
        except BaseException:
            self.close()
            raise

    def start(self):
        self.data = self.directory / "pg"
        self.data.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres")
        self.primary_port, self.replica_port, self.redis_port = free_port(), free_port(), free_port()
        self.run(as_postgres([PG + "initdb", "-D", str(self.data / "primary"), "-U", "ladder", "-A", "trust", "-E", "UTF8",
                              "--locale=C.UTF-8", "--no-sync"]))
        self.primary = self.postgres_start("primary", self.primary_port)
        self.run([PG + "createdb", "-h", self.address(self.primary_port), "-p", str(self.primary_port), "-U", "ladder", "ladder"])
        self.replica_make()
        self.redis_start()

    def migrate(self):
        """The first time as the superuser, as `scripts/up` does; then everything runs as a user with no more than its role's rights."""
        self.cli("migrate", "up", login="ladder")
        for login, role in LOGINS.items():
            self.sql(f"create role {login} login in role {role}")

    # -- servers --

    def run(self, command):
        done = subprocess.run(command, cwd="/tmp", capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def spawn(self, command, name, environment=None, **options):
        process = Process(command, self.directory / f"{name}.log", environment, **options)
        for earlier in self.children:
            if earlier.log_path == process.log_path and earlier.log_to < 0:
                earlier.log_to = process.log_from
        self.children.append(process)
        return process

    def address(self, port):
        """Where who listens there is."""
        return "127.0.0.1"

    def postgres_start(self, name, port, host=()):
        wait_until(lambda: not is_in_use(self.data / name), 20, f"the earlier PostgreSQL {name} is gone")
        settings = dict(listen_addresses=self.address(port), port=port, cluster_name=name, unix_socket_directories=self.data, max_connections=200,
                        shared_buffers="128MB", max_wal_size="1GB", wal_compression="lz4", hot_standby_feedback="on",
                        deadlock_timeout="100ms", jit="off", max_standby_streaming_delay="10s")
        settings.update(self.postgres_settings)
        options = [x for key, value in settings.items() for x in ("-c", f"{key}={value}")]
        process = self.spawn([PG + "postgres", "-D", str(self.data / name)] + options, name, user=POSTGRES_USER, end=signal.SIGQUIT, host=host)

        def is_ready():
            return subprocess.run([PG + "pg_isready", "-q", "-h", self.address(port), "-p", str(port)]).returncode == 0
        wait_until(lambda: is_ready() or not process.is_alive(), 30, f"PostgreSQL {name} is ready")
        assert process.is_alive(), process.log()[-2000:]
        return process

    def replica_make(self):
        self.replica = self.standby_make("replica", self.replica_port)

    def standby_make(self, name, port, primary_port=None):
        """primary_port: by way of a link, if not the primary's own."""
        primary_port = primary_port or self.primary_port
        self.run(as_postgres([PG + "pg_basebackup", "-h", self.address(primary_port), "-p", str(primary_port), "-U", "ladder", "-D", str(self.data / name), "-R", "-c", "fast", "-C", "-S", name]))
        return self.postgres_start(name, port)

    def replica_took_over(self):
        """The replica was promoted: it is the primary from now on, and a new replica is made of it."""
        self.replica.stop(signal.SIGINT)
        shutil.rmtree(self.data / "primary")
        (self.data / "replica").rename(self.data / "primary")
        self.primary_port, self.replica_port = self.replica_port, self.primary_port
        self.primary = self.postgres_start("primary", self.primary_port)
        self.replica_make()

    def redis_start(self):
        self.redis_process = self.spawn(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(self.redis_port), "--save", "", "--appendonly", "no", "--dir",
             str(self.directory), "--maxmemory-policy", "noeviction", *self.redis_options], "redis")
        self.redis = redis.Redis(port=self.redis_port, socket_timeout=100)
        wait_until(self.redis_is_up, 10, "Redis")

    def redis_is_up(self):
        try:
            return self.redis.ping()
        except redis.exceptions.RedisError:
            return False

    def redis_restart(self, rdb=None):
        """Stops Redis and starts it from the given dump file, or empty."""
        self.redis_process.kill()
        dump = self.directory / "dump.rdb"
        dump.unlink(missing_ok=True)
        if rdb:
            shutil.copy(rdb, dump)
        self.redis_start()

    # -- ladder --

    def environment(self, login="ladder", **settings):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LADDER_")}
        environment.update(
            LADDER_DATABASE_URL=self.primary_as(login), LADDER_DATABASE_REPLICAS=self.replica_as(login),
            LADDER_REDIS_URL=f"redis://127.0.0.1:{self.redis_port}/0", LADDER_SERVER_SECRET=SECRET, LADDER_SERVER_PORT="0",
            LADDER_CONFIG=str(ROOT / "config" / "ladder.yaml"),
            LADDER_WORKER_REFRESH_PERCENT="100",
            # Longer than the defaults: a test machine may stand still for a second or two. Tests of these set their own.
            LADDER_SERVER_ANSWER_TIMEOUT_MS="30000", LADDER_DATABASE_STATEMENT_TIMEOUT_MS="20000", LADDER_CACHE_HEARTBEAT_MS="500",
            LADDER_LIMITS_READS_WAIT_MS="20000")
        environment.update({f"LADDER_{key.upper()}": str(value) for key, value in settings.items()})
        return environment

    def primary_as(self, login):
        return f"postgresql://{login}@{self.address(self.primary_port)}:{self.primary_port}/ladder"

    def replica_as(self, login):
        return f"postgresql://{login}@{self.address(self.replica_port)}:{self.replica_port}/ladder"

    @property
    def primary_url(self):
        """As the superuser, who made the cluster."""
        return self.primary_as("ladder")

    @property
    def replica_url(self):
        return self.replica_as("ladder")

    def cli(self, *words, status=0, login=None, **settings):
        """A command, as the user whose job it is."""
        login = login or ("ladder_owner" if words[0] in ("migrate", "game", "key") else "ladder_work")
        done = subprocess.run([BINARY, *map(str, words)], env=self.environment(login, **settings), capture_output=True, text=True, timeout=600)
        assert done.returncode == status, f"ladder {' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def alone(self, *words):
        """A job, from beginning to end, whoever is at it already: a worker may be, with all that earlier tests left."""
        def ran():
            text = self.cli(*words)
            return None if re.search(r"another runner is at it|[1-9]\d* being refreshed by another runner", text) else text
        return wait_until(ran, 60, f"nobody else is at {words[0]}")

    def refresh(self, *words):
        """What was committed before is in the views after it."""
        return self.alone("refresh", *words)

    def roll(self):
        """What had ended before is closed after it, if no transaction runs on."""
        return self.alone("roll")

    def serve(self, binary=BINARY, **settings):
        server = self.spawn([binary, "serve"], f"serve-{len(self.children)}", self.environment("ladder_serve", **settings))
        line = wait_until(lambda: next((x for x in server.log().splitlines() if "event=listening" in x), None) or not server.is_alive(),
                          10, "ladder serve listens")
        assert server.is_alive(), server.log()
        server.port = int(line.split("port=")[1].split()[0])
        wait_until(lambda: requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=50).status_code == 200, 10, "readyz")
        return server

    def worker(self, **settings):
        return self.spawn([BINARY, "work"], f"work-{len(self.children)}", self.environment("ladder_work", **settings))

    def trusted(self, server, timeout=10):
        """Waits until a server believes Redis (every loop of it: asked several times on new connections)."""
        def all_ok():
            return all(requests.get(f"http://127.0.0.1:{server.port}/readyz", timeout=50).json()["checks"].get("redis") == "ok"
                       for _ in range(8))
        wait_until(all_ok, timeout, "Redis is trusted")

    def new_game(self):
        self.games += 1
        game = f"game{self.games}-{os.getpid()}"
        self.cli("game", "create", game)
        return game

    def key(self, game, scope="admin"):
        return self.cli("key", "create", "--game", game, "--scope", scope).strip()

    # -- SQL --

    def sql(self, query, *arguments, url=None):
        connection = psycopg2.connect(url or self.primary_url)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(query, arguments or None)
                return cursor.fetchall() if cursor.description is not None else None
        finally:
            connection.close()

    @contextlib.contextmanager
    def loading(self, standing):
        """Has the lock that whoever loads a standing into Redis has."""
        with contextlib.closing(psycopg2.connect(self.primary_url)) as session, session.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(hashtext('ladder.job'), hashtext(%s))", (f"rebuild {standing}",))
            yield

    def replica_sql(self, query, *arguments):
        return self.sql(query, *arguments, url=self.replica_url)

    def replica_caught_up(self):
        lsn = self.sql("select pg_current_wal_flush_lsn()")[0][0]
        wait_until(lambda: self.replica_sql("select pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn)[0][0], 20, "the replica caught up")

    def close(self):
        """Ends everything, then fails if anything had broken."""
        faults = []
        for child in self.children:
            try:
                if child.command[0] == BINARY and child.is_alive():
                    child.stop()
                child.check_clean()
            except AssertionError as fault:
                faults.append(str(fault))
        for child in self.children:
            child.was_killed = True
            child.send(child.end)
        for child in self.children:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert not faults, "\n\n".join(faults)


class Database:
    """A database of its own, and a copy of the migrations that a test may spoil."""

    def __init__(self, stack, name, directory, owner="ladder"):
        self.stack, self.name, self.directory = stack, name, directory
        stack.sql(f"create database {name} owner {owner}")
        for part in ("migrations", "sql/functions", "sql/views"):
            shutil.copytree(ROOT / part, directory / part)
        self.version = self.versions()[-1]

    def url(self, login="ladder"):
        return f"postgresql://{login}@127.0.0.1:{self.stack.primary_port}/{self.name}"

    def versions(self):
        return sorted(int(file.name[:4]) for file in (self.directory / "migrations").glob("*.up.sql"))

    def migrate(self, *words, status=0, login="ladder"):
        return self.stack.cli("migrate", *words, "--directory", self.directory, status=status, database_url=self.url(login))

    def start(self, *words):
        return subprocess.Popen([BINARY, "migrate", *words, "--directory", self.directory], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, env=self.stack.environment(database_url=self.url()))

    def sql(self, query, *arguments, login="ladder"):
        return self.stack.sql(query, *arguments, url=self.url(login))

    def add(self, name, up, down="select 1"):
        """One more migration; its number."""
        self.version += 1
        (self.directory / "migrations" / f"{self.version:04d}_{name}.up.sql").write_text(up)
        (self.directory / "migrations" / f"{self.version:04d}_{name}.down.sql").write_text(down)
        return self.version

    def applied(self):
        return [version for version, in self.sql("select version from ladder.schema_migration order by version")]

    def dump(self):
        """The schema as text, with the comments; not those of partitions, which depend on what there was when each was made."""
        text = self.stack.run([PG + "pg_dump", "--schema-only", "--no-comments", "-d", self.url()])
        comments = self.sql("select c.relname::text, coalesce(a.attname::text, ''), d.description from pg_description d join pg_class c "
                            "on c.oid = d.objoid left join pg_attribute a on a.attrelid = c.oid and a.attnum = d.objsubid and d.objsubid > 0 "
                            "where d.classoid = 'pg_class'::regclass and c.relnamespace = 'ladder'::regnamespace and not c.relispartition order by 1, 2")
        return [line for line in text.splitlines() if not re.match(r"\\(un)?restrict ", line)] + comments
