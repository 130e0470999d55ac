"""A primary and two replicas, and what can be done to them."""
import os
import pathlib

from harness import Stack, free_port, wait_until
from network import SUBNET, Network

# A machine that stands still for a moment is no fault of a server's here, so nothing is as short as it could be.
FAST = dict(database_health_interval_ms=300, database_health_timeout_ms=1000, database_stall_ms=500, database_breaker_pause_ms=300,
            database_statement_timeout_ms=5000, database_connect_timeout_ms=1000, server_answer_timeout_ms=20000, server_loops=2, database_outlier_factor=0)


class Trio(Stack):
    postgres_settings = dict(shared_preload_libraries="pg_stat_statements")

    def start(self):
        super().start()
        self.second_port = free_port()
        self.second = self.standby_make("second", self.second_port)
        self.sql("create extension pg_stat_statements")

    def url(self, port, login="ladder"):
        return f"postgresql://{login}@{self.address(port)}:{port}/ladder"

    def lines(self, first="", second="", first_port=None, second_port=None):
        return ",".join([f"name=first {first} {self.url(first_port or self.replica_port, 'ladder_serve')}",
                         f"name=second {second} {self.url(second_port or self.second_port, 'ladder_serve')}"])

    def serve(self, **settings):
        return super().serve(**{**FAST, "database_replicas": self.lines(), **settings})

    def caught_up(self):
        lsn = self.sql("select pg_current_wal_flush_lsn()")[0][0]
        for port in (self.replica_port, self.second_port):
            wait_until(lambda: self.sql("select pg_last_wal_replay_lsn() >= %s::pg_lsn", lsn, url=self.url(port))[0][0], 20, "a replica caught up")

    def selects(self, port):
        """How often a server was asked for a page."""
        return self.sql("select coalesce(sum(calls), 0) from pg_stat_statements where query like '%%head as%%' and query like '%%ladder.entry%%'",
                        url=self.url(port))[0][0]


class Cabled(Trio):
    """Each server on a host of its own (network.py)."""

    postgres_settings = {**Trio.postgres_settings, "wal_retrieve_retry_interval": "1s"}  # commits may wait for standbys that return

    def start(self):
        self.network, self.addresses = Network(), {}
        super().start()

    def address(self, port):
        return self.addresses.get(port, "127.0.0.1")

    def postgres_start(self, name, port, host=()):
        if port not in self.addresses:
            self.addresses[port] = self.network.host(name)
            with open(self.data / name / "pg_hba.conf", "a") as file:
                file.write(f"host all,replication all {SUBNET}.0/24 trust\n")
        return super().postgres_start(name, port, self.network.on(name))

    def close(self):
        try:
            super().close()
        finally:
            self.network.close()


def send_all(process, number):
    """To a PostgreSQL and all its backends, which are sessions of their own."""
    children = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == process.pid:
                children.append(int(stat.parent.name))
        except (OSError, IndexError, ValueError):
            pass
    for pid in [process.pid, *children]:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
