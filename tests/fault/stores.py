"""What happens to the data and the room for it: replicas that are late, a Redis that forgot or can't, disks that are full."""
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import redis as redis_module

import compare
from fault.faults import Fault
from harness import wait_until


class ReplayPaused(Fault):
    number, name, sentence, during_s = "F6", "replay-paused", "the replica replays nothing", (0.5, 1.0)

    def inject(self, field, dice):
        field.replica_sql("select pg_wal_replay_pause()")

    def heal(self, field):
        field.replica_sql("select pg_wal_replay_resume()")


class Alone(Fault):
    """Nothing but the primary has the newest writes, and who reads with a token must be led there."""
    number, name, sentence, during_s = "F6", "replay-paused-no-redis", "the replica replays nothing, and Redis is gone", (0.3, 0.6)

    def inject(self, field, dice):
        field.replica_sql("select pg_wal_replay_pause()")
        field.redis_process.kill()

    def heal(self, field):
        field.replica_sql("select pg_wal_replay_resume()")
        field.redis_start()


class ReplicaSetting(Fault):
    """The replica runs with another setting while the fault's cycles last."""
    settings = {}

    def again(self, field, settings):
        field.replica.stop(2)  # SIGINT: fast
        was, field.postgres_settings = field.postgres_settings, {**field.postgres_settings, **settings}
        field.replica_start()
        field.postgres_settings = was

    def prepare(self, field):
        self.again(field, self.settings)

    def finish(self, field):
        self.again(field, {})


class ReplicaLate(ReplicaSetting):
    number, name, sentence = "F6", "replica-late", "the replica is a second behind"
    settings, during_s = {"recovery_min_apply_delay": "1s"}, (1.2, 1.5)

    def inject(self, field, dice):
        """It is so all the time."""


class Conflict(ReplicaSetting):
    """What the primary removes is removed on the replica at once, whoever reads it there."""
    number, name, sentence = "F7", "conflict", "reads on the replica are cancelled by what the primary did"
    settings, during_s = {"max_standby_streaming_delay": "0", "hot_standby_feedback": "off"}, (0.4, 0.8)

    def inject(self, field, dice):
        self.is_over = False

        def run():
            while not self.is_over:
                field.sql("vacuum ladder.entry")
                # A lock that is replayed cancels whoever reads the table there.
                field.sql("begin; lock table ladder.entry in access exclusive mode; commit")
                time.sleep(0.02)
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def heal(self, field):
        self.is_over = True
        self.thread.join()


class KillRedis(Fault):
    number, name, sentence, cycles = "F8", "kill-redis", "`kill -9` of Redis, which comes back empty", 3

    def inject(self, field, dice):
        field.redis_process.kill()

    def heal(self, field):
        field.redis_start()


class RedisCommand(Fault):
    """A command that hurts, and the one that ends it."""
    during_s = (0.3, 0.6)

    def __init__(self, number, name, sentence, commands, ends=(), cycles=None, **more):
        self.number, self.name, self.sentence, self.commands, self.ends = number, name, sentence, commands, ends
        self.cycles = cycles or self.cycles
        self.__dict__.update(more)

    def inject(self, field, dice):
        for command in self.commands:
            field.redis.execute_command(*command.split())

    def heal(self, field):
        for command in self.ends:
            wait_until(lambda: self.try_command(field, command), 20, command)

    @staticmethod
    def try_command(field, command):
        try:
            field.redis.execute_command(*command.split())
            return True
        except redis_module.exceptions.RedisError:
            return False


class LostAgain(Fault):
    """The second time, the worker has found Redis empty and put there what is to be told and loaded, but no cursor yet."""
    number, name, sentence = "F9", "flushall-again", "`FLUSHALL`, and another one while the worker begins anew"

    def inject(self, field, dice):
        field.work.kill()
        field.redis.flushall()
        field.worker_start(faults="stop-synced")
        wait_until(field.work.is_stopped, 20, "the worker has looked")
        field.redis.flushall()

    def heal(self, field):
        field.work.send(signal.SIGCONT)

    def settle(self, field):
        assert "Redis lost data" in field.work.log(), "the worker noticed"


class Sleep(Fault):
    number, name, sentence, during_s = "F8", "redis-sleeps", "Redis is busy for half a second with one command", (0.0, 0.1)

    def inject(self, field, dice):
        field.redis.execute_command("DEBUG", "SLEEP", "0.5")


class MaxClients(Fault):
    number, name, sentence, during_s = "F8", "redis-maxclients", "Redis takes no more connections and ends those that are", (0.4, 0.8)

    def inject(self, field, dice):
        field.redis.config_set("maxclients", 1)
        field.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def heal(self, field):
        field.redis.config_set("maxclients", 10000)


class Damage(Fault):
    """Behind our back: a key of one standing, or one member of it."""
    number, name, sentence, cycles = "F11", "damage", "a key, or one member, of a standing is removed behind our back", 3

    def inject(self, field, dice):
        period = dice.choice(compare.periods(field, field.game))
        base = f"ladder:{{{period % 256}}}:{period}:"
        generation = (field.redis.hget(base + "meta", "gen") or b"").decode()
        dice.choice((lambda: field.redis.delete(f"{base}{generation}:order"), lambda: field.redis.zpopmax(f"{base}{generation}:order"),
                     lambda: field.redis.delete(base + "meta"), lambda: field.redis.delete(f"{base}{generation}:entry")))()


class OldFile(Fault):
    """Redis comes back with a file of before the last writes."""
    number, name, sentence, cycles, during_s = "F10", "old-redis-file", "Redis comes back with an old file", 2, (0.1, 0.2)

    def inject(self, field, dice):
        field.redis.save()
        self.file = field.directory / "old.rdb"
        shutil.copy(field.directory / "dump.rdb", self.file)

    def heal(self, field):
        field.redis_restart(self.file)


class DiskFull(Fault):
    number, name, sentence, cycles, during_s = "F15", "primary-disk-full", "the primary's disk is full", 1, (0.5, 1.0)

    def why_not(self, field):
        return field.disk.why_not

    def inject(self, field, dice):
        field.primary.is_excused = True
        field.disk.fill()
        # The WAL has room left in its files that are there already: use it up.
        wal = threading.Thread(target=self.wal, args=(field,), daemon=True)
        wal.start()
        wal.join()

    @staticmethod
    def wal(field):
        try:
            for _ in range(200):
                field.sql("select pg_switch_wal()")
                field.sql("create table if not exists filler (x text); insert into filler select repeat(md5(i::text), 30) from generate_series(1, 3000) i")
        except Exception:  # noqa: BLE001 -- there: it is full
            pass

    def heal(self, field):
        field.disk.clear()
        if not field.primary.is_alive() or not field.is_answering(field.primary_port):
            field.primary.was_killed = True
            if field.primary.is_alive():
                field.primary.stop(3)
            field.primary_start()

    def settle(self, field):
        field.sql("drop table if exists filler")


PAGE = os.sysconf("SC_PAGE_SIZE")


class SmallDiskFull(Fault):
    """A file system in memory of 256 kB, of one program only."""
    number, during_s = "F15", (0.5, 1.0)
    place = None

    def why_not(self, field):
        place = field.directory / "small"
        place.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", place], capture_output=True, text=True)
        if done.returncode != 0:
            return f"no file system can be mounted here ({done.stderr.strip()[:100]})"
        subprocess.run(["umount", place], check=True)
        return None

    def mount(self, field):
        self.place = field.directory / "small"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs", self.place], check=True)

    def fill(self):
        with open(self.place / "filler", "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * 512)

    def unmount(self):
        if self.place:
            subprocess.run(["umount", "--lazy", self.place], check=True)
        self.place = None

    def finish(self, field):
        self.unmount()


class RedisDiskFull(SmallDiskFull):
    """Redis can't save, and refuses every write (stop-writes-on-bgsave-error)."""
    name, sentence = "redis-disk-full", "Redis's disk is full"

    def inject(self, field, dice):
        self.mount(field)
        self.fill()
        field.redis.config_set("dir", str(self.place))
        field.redis.config_set("save", "1 1")
        field.redis.config_set("stop-writes-on-bgsave-error", "yes")
        self.save(field)
        wait_until(lambda: self.saved(field, "err"), 20, "Redis could not save")

    @staticmethod
    def save(field):
        with contextlib.suppress(redis_module.exceptions.ResponseError):  # one is under way
            field.redis.bgsave()

    @staticmethod
    def saved(field, status):
        told = field.redis.info("persistence")
        return told["rdb_last_bgsave_status"] == status and told["rdb_bgsave_in_progress"] == 0

    def heal(self, field):
        field.redis.config_set("dir", str(field.directory))
        self.save(field)
        wait_until(lambda: self.saved(field, "ok") or self.save(field), 20, "Redis has saved")

    def settle(self, field):
        field.redis.config_set("save", "")
        wait_until(lambda: field.redis.info("persistence")["rdb_bgsave_in_progress"] == 0, 20, "Redis saves nothing")
        self.unmount()


class LogDiskFull(SmallDiskFull):
    """A server whose log lies there."""
    name, sentence = "log-disk-full", "the disk of a server's log is full"

    def inject(self, field, dice):
        self.mount(field)
        field.servers["here"].kill()
        # Under the name that the next server's log has.
        self.log = field.directory / f"serve-{len(field.children)}.log"
        self.log.symlink_to(self.place / "log")
        self.server = field.server_start("here", log_level="debug")
        assert self.server.log_path == self.log
        self.fill()
        self.written = (self.place / "log").stat().st_size

    def heal(self, field):
        assert self.server.is_alive()
        size = (self.place / "log").stat().st_size
        assert size <= -(-self.written // PAGE) * PAGE and os.statvfs(self.place).f_bavail == 0, (self.written, size, "at most the last page was filled")
        (self.place / "filler").unlink()

    def settle(self, field):
        field.servers["here"].kill()
        field.server_start("here")
        text = (self.place / "log").read_bytes()
        self.log.unlink()
        self.log.write_bytes(text)
        self.unmount()


FAULTS = [
    ReplayPaused(), Alone(), ReplicaLate(), Conflict(), KillRedis(),
    RedisCommand("F8", "redis-paused", "Redis answers no client for half a second (`CLIENT PAUSE`)", ["CLIENT PAUSE 500 ALL"], during_s=(0.5, 0.6)),
    Sleep(),
    RedisCommand("F8", "redis-full", "Redis has no memory left and evicts nothing", ["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]),
    RedisCommand("F8", "redis-read-only", "Redis became a replica of nobody that answers", ["REPLICAOF 127.0.0.1 1"], ["REPLICAOF NO ONE"]),
    RedisCommand("F8", "redis-acl", "Redis lets our user do nothing", ["ACL SETUSER default reset on nopass +ping +acl +auth"],
                 ["ACL SETUSER default on nopass ~* &* +@all"]),
    RedisCommand("F8", "redis-functions", "Redis's functions are gone", ["FUNCTION FLUSH"]),
    MaxClients(),
    RedisCommand("F9", "flushall", "`FLUSHALL`", ["FLUSHALL"], cycles=5, during_s=(0.0, 0.1)),
    LostAgain(), OldFile(), Damage(), DiskFull(), RedisDiskFull(), LogDiskFull(),
]
