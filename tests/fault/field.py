"""The service whose parts break: PostgreSQL (primary, replica), Redis, a worker and three servers.

    here     behind a link for its clients, and links to the primary, the replica and Redis
    there    asks them directly
    alone    has neither replicas nor Redis: what it answers is linearizable

The worker's links to PostgreSQL and Redis are those of `here`, and the replica follows the primary over one, too. Where the
machine lets us mount, PostgreSQL's primary has a file system of its own, whose power can be cut and which can be filled.
Settings are the defaults, but for the number of loops and `worker.answer_timeout_ms`, which is 2 s in place of 10: the times to
heal are those that an operator would see.
"""
import contextlib
import fcntl
import os
import shutil
import signal
import struct
import subprocess

import redis as redis_module
import requests

import compare
from fault.acknowledged import Endpoint
from fault.proxy import Proxy
from harness import BINARY, PG, Client, Stack, free_port, is_in_use, wait_until
from trio import send_all

SHUTDOWN = 0x8004587D     # FS_IOC_SHUTDOWN
NOLOGFLUSH = 2
FACETS = 3  # values of the board sum's
BOARDS = {"best": "best", "sum": "sum", "last": "last", "alone": "best"}


class Disk:
    """A file system in a file; why_not says why this machine has none."""

    def __init__(self, directory, size_mb):
        self.image, self.path = directory / "disk.img", directory / "disk"
        self.path.mkdir()
        self.is_mounted, self.why_not = False, None
        try:
            subprocess.run(["truncate", "-s", f"{size_mb}M", self.image], check=True, capture_output=True)
            subprocess.run(["mkfs.ext4", "-qF", "-m", "0", self.image], check=True, capture_output=True)
            self.mount()
        except (OSError, subprocess.CalledProcessError) as error:
            self.why_not = f"no file system can be mounted here ({(getattr(error, 'stderr', b'') or str(error).encode()).decode().strip()[:100]})"
        os.chmod(self.path, 0o755)

    def mount(self):
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True, capture_output=True)
        self.is_mounted = True

    def unmount(self):
        def is_done():
            return subprocess.run(["umount", self.path], capture_output=True).returncode == 0
        if self.is_mounted:
            wait_until(is_done, 20, "the file system is unmounted")
            self.is_mounted = False

    def cut(self):
        """As when the power goes: what was not written to the disk is gone, and so is all that comes."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(directory)

    def fill(self, leave_bytes=0):
        left = os.statvfs(self.path)
        size = left.f_bavail * left.f_frsize - leave_bytes
        with open(self.path / "filler", "wb", buffering=0) as file:
            if size > 0:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError:
                    pass
            try:
                while leave_bytes == 0:
                    file.write(b"\0" * 4096)
            except OSError:
                pass

    def clear(self):
        (self.path / "filler").unlink(missing_ok=True)


class Field(Stack):
    """`faults` and `settings` are of all servers; `postgres` more settings of PostgreSQL."""

    needs_disk = True  # to be filled, and to lose its power
    redis_options = ["--enable-debug-command", "local", "--enable-protected-configs", "local"]

    def __init__(self, faults="", worker_faults="", postgres=None, **settings):
        self.faults, self.worker_faults, self.settings = faults, worker_faults, settings
        # A replica that lost its primary looks for it five seconds later by default: that would be in every time to heal.
        self.postgres_settings = {"wal_retrieve_retry_interval": "200ms", **(postgres or {})}
        self.links, self.disk = {}, None
        self.names = ["primary", "replica"]  # the directories of who is that now
        self.servers, self.raw, self.asked = {}, {}, 0
        super().__init__()
        try:
            self.open()
        except BaseException:
            self.close()
            raise

    # ---- the parts ----

    def start(self):
        self.disk = Disk(self.directory, 2500)
        (self.directory / "pg").mkdir()
        if os.geteuid() == 0:
            shutil.chown(self.directory / "pg", "postgres")
        if self.disk.is_mounted:
            (self.disk.path / "primary").mkdir(mode=0o700)
            shutil.chown(self.disk.path / "primary", "postgres")
            (self.directory / "pg" / "primary").symlink_to(self.disk.path / "primary")
        super().start()

    def redis_start(self):
        super().redis_start()
        self.redis_pid = self.redis_process.pid

    def replica_make(self):
        """By way of a link: its connection to the primary is as basebackup's."""
        self.links["replication"] = Proxy(self.primary_port)
        self.replica = self.standby_make("replica", self.replica_port, self.links["replication"].port)

    def open(self):
        for name, port in (("primary", self.primary_port), ("replica", self.replica_port), ("redis", self.redis_port)):
            self.links[name] = Proxy(port)
        here_port = free_port()
        self.links["client"] = Proxy(here_port)
        self.endpoints = {"here": Endpoint("here", self.links["client"].port), "there": Endpoint("there", free_port()),
                          "alone": Endpoint("alone", free_port(), is_single=True)}
        self.ports = {"here": here_port, "there": self.endpoints["there"].port, "alone": self.endpoints["alone"].port}
        self.worker_start()
        for name in self.ports:
            self.server_start(name)
        for name in ("here", "there"):
            self.trusted(self.servers[name])

    def through_links(self, login):
        return dict(database_url=f"postgresql://{login}@127.0.0.1:{self.links['primary'].port}/ladder",
                    database_replicas=f"postgresql://{login}@127.0.0.1:{self.links['replica'].port}/ladder",
                    redis_url=f"redis://127.0.0.1:{self.links['redis'].port}/0")

    def environment(self, login="ladder", **settings):
        defaults = dict(worker_answer_timeout_ms=2000, server_answer_timeout_ms=5000, database_statement_timeout_ms=2000, cache_heartbeat_ms=100)
        return {**super().environment(login, **{**defaults, **settings}), **self.raw}

    def server_start(self, name, is_awaited=True, **more):
        """(Again.) Its clients find it where it was. is_awaited: not before it is ready; otherwise nothing is waited for."""
        own = {"here": self.through_links("ladder_serve"), "there": {}, "alone": dict(database_replicas="", redis_url="redis://127.0.0.1:1/0")}
        settings = {**dict(server_loops=2 if name == "here" else 1), **own[name], **self.settings, **more}
        self.endpoints[name].incarnation += 1
        settings = {"server_port": self.ports[name], "faults": self.faults, **settings}
        if is_awaited:
            self.servers[name] = self.serve(**settings)
        else:
            self.servers[name] = self.spawn([BINARY, "serve"], f"serve-{len(self.children)}", self.environment("ladder_serve", **settings))
        return self.servers[name]

    def worker_start(self, **more):
        self.work = self.worker(**{"faults": self.worker_faults, **self.through_links("ladder_work"), **more})

    def game_make(self):
        """A game with the boards of acknowledged.py, known to every server."""
        self.game = self.new_game()
        self.game_key = self.key(self.game)
        client = Client(self.servers["there"], self.game, self.game_key)
        for board, operator in BOARDS.items():
            client.put_board(board, operator=operator, facets=["country"] if board == "sum" else [])
        self.sql("checkpoint")  # the boards are no submissions: where commits don't wait for the disk, they are there all the same
        for name, server in self.servers.items():
            wait_until(lambda: all(Client(server, self.game, self.game_key).get(f"/boards/{board}/top").status_code == 200 for board in BOARDS),
                       20, f"{name} knows the boards")

    # ---- PostgreSQL ends and begins ----

    def primary_start(self):
        self.primary = self.postgres_start(self.names[0], self.primary_port)

    def replica_start(self):
        self.replica = self.postgres_start(self.names[1], self.replica_port)

    def sync(self):
        """What initdb wrote without waiting for the disk would not be there after a power cut."""
        subprocess.run(["sync", "-f", self.disk.path], check=True)

    def power_cut(self):
        self.primary.is_excused = True
        self.disk.cut()
        send_all(self.primary, signal.SIGKILL)
        self.primary.wait()
        wait_until(lambda: not is_in_use(self.data / "primary"), 20, "PostgreSQL's processes are gone")

    def power_on(self):
        self.disk.unmount()
        self.disk.mount()
        (self.disk.path / "primary" / "postmaster.pid").unlink(missing_ok=True)
        self.primary_start()

    def is_answering(self, port):
        return subprocess.run([PG + "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0

    def promotable(self, is_so):
        """Servers wait until the replica has what they acknowledge."""
        self.sql(f"alter system set synchronous_standby_names = '{'*' if is_so else ''}'")
        self.sql("alter system set synchronous_commit = 'remote_apply'" if is_so else "alter system reset synchronous_commit")
        self.sql("select pg_reload_conf()")
        if is_so:
            wait_until(lambda: self.sql("select count(*) from pg_stat_replication where sync_state = 'sync'")[0][0], 10, "the replica is synchronous")

    def promote(self):
        """The replica becomes the primary, for us too: what was the primary is dead."""
        for statement in ("alter system reset synchronous_standby_names", "select pg_promote(true, 30)"):
            self.sql(statement, url=self.replica_url)
        self.sql("select pg_reload_conf()", url=self.replica_url)
        self.primary_port, self.replica_port = self.replica_port, self.primary_port
        self.primary, self.replica = self.replica, None
        self.names = self.names[::-1]

    def follow(self):
        """The dead one is made anew, as a replica of the new primary."""
        directory = self.data / self.names[1]
        shutil.rmtree(directory.resolve())
        directory.resolve().mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(directory.resolve(), "postgres")
        self.links["replication"].close()
        self.links["replication"] = Proxy(self.primary_port)
        self.sql(f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{self.names[1]}'")
        self.replica = self.standby_make(self.names[1], self.replica_port, self.links["replication"].port)
        self.promotable(True)

    # ---- how it is ----

    def is_trusted(self, name):
        """Every loop believes Redis (asked on new connections, several times)."""
        def ask():
            answer = requests.get(f"http://127.0.0.1:{self.ports[name]}/readyz", timeout=3)
            return answer.status_code == 200 and answer.json()["checks"].get("redis") == "ok"
        try:
            return all(ask() for _ in range(4 if name == "here" else 1))
        except (requests.exceptions.RequestException, ValueError):
            return False

    def is_same(self):
        try:
            return compare.same(self, self.game)
        except (redis_module.exceptions.RedisError, OSError):
            return False

    def ask_for_all(self):
        """What Redis lost and nobody asks for is loaded later: ask, and each time for something that no memory has."""
        self.asked += 1
        boards = [*BOARDS, *(f"sum/top?facet=country:c{i}" for i in range(FACETS))]
        for name in ("here", "there"):
            for board in boards:
                # A page notices what one key lacks, a place what the other does.
                view = "/top" if self.asked % 2 else f"/players/nobody{self.asked}"
                path = board.replace("/top", view) + "&" if "?" in board else board + view + "?"
                path += f"offset={self.asked}&limit=1" if self.asked % 2 else ""
                with contextlib.suppress(requests.exceptions.RequestException):
                    requests.get(f"http://127.0.0.1:{self.ports[name]}/v1/games/{self.game}/boards/{path.rstrip('?&')}",
                                 headers={"Authorization": "Bearer " + self.game_key}, timeout=5)

    def events(self, url=None):
        """[(board, player, score)] that PostgreSQL has."""
        return self.sql("select b.name::text, e.player, e.score from ladder.score_event e join ladder.board b on b.id = e.board_id "
                        "join ladder.game g on g.id = b.game_id where g.name = %s and e.kind = 'submit'", self.game, url=url)

    def entries(self, name):
        """{board: {player: score}} as a server's pages have them."""
        client = Client(self.servers[name], self.game, self.game_key)
        return {board: {e["player"]: e["score"] for e in client.pages(board, limit=100)} for board in BOARDS}

    def kill(self):
        """All that is ours, at once: what was broken on purpose need not end well."""
        for child in self.children:
            if child.command[0] == BINARY and child.is_alive():
                child.kill()

    def close(self):
        try:
            super().close()
        finally:
            for link in self.links.values():
                link.close()
            if self.disk:
                self.disk.unmount()
                shutil.rmtree(self.directory, ignore_errors=True)
