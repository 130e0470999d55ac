"""PgBouncer in transaction mode between serve and PostgreSQL: few server connections, none of them anybody's own."""
import shutil
import threading

import psycopg2
import pytest

from harness import POSTGRES_USER, Client, free_port, wait_until

PGBOUNCER = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="pgbouncer is not installed")


class Bouncer:
    def __init__(self, stack):
        self.stack, self.port = stack, free_port()
        self.config = stack.directory / "pgbouncer.ini"
        self.config.write_text(f"""
[databases]
primary = host=127.0.0.1 port={stack.primary_port} dbname=ladder user=ladder_serve
replica = host=127.0.0.1 port={stack.replica_port} dbname=ladder user=ladder_serve
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
""")
        self.start()

    def start(self):
        self.process = self.stack.spawn([PGBOUNCER, str(self.config)], "pgbouncer", user=POSTGRES_USER)
        wait_until(lambda: "process up" in self.process.log() or not self.process.is_alive(), 10, "pgbouncer")
        assert self.process.is_alive(), self.process.log()

    def servers(self, database):
        """How many connections it has to a server. Others use the same servers by themselves."""
        console = psycopg2.connect(host="127.0.0.1", port=self.port, dbname="pgbouncer", user="pgbouncer")
        try:
            console.autocommit = True  # it knows no transactions
            with console.cursor() as cursor:
                cursor.execute("show servers")
                names = [column.name for column in cursor.description]
                return sum(dict(zip(names, row))["database"] == database for row in cursor)
        finally:
            console.close()

    def line(self, database):
        return f"pooled=yes postgresql://ladder_serve@127.0.0.1:{self.port}/{database}"


def test_through_pgbouncer(stack):
    stack.replica_caught_up()  # PgBouncer keeps a refused login for a while
    bouncer = Bouncer(stack)
    server = stack.serve(database_url=bouncer.line("primary"), database_replicas=bouncer.line("replica"), server_loops=2,
                         database_health_interval_ms=300)
    game = stack.new_game()
    key = stack.key(game)
    Client(server, game, key).put_board("b")
    wrong = []

    def play(number, rounds):
        client = Client(server, game, key)
        for i in range(rounds):
            answer = client.request("POST", "/boards/b/scores", {"player": f"p{rounds}-{number}", "score": i})
            if answer.status_code != 200:
                wrong.append(answer.text)
                continue
            seen = client.request("GET", f"/boards/b/players/p{rounds}-{number}", headers={"Ladder-Token": answer.json()["token"]})
            if seen.status_code != 200 or seen.json()["score"] != i:
                wrong.append(seen.text)

    def all_play(rounds):
        players = [threading.Thread(target=play, args=(n, rounds)) for n in range(12)]
        [t.start() for t in players]
        [t.join() for t in players]
        assert not wrong, (len(wrong), wrong[:3])
    all_play(25)
    for database in ("primary", "replica"):
        wait_until(lambda: bouncer.servers(database), 10, f"the {database} is used")
        assert bouncer.servers(database) <= 3, "server connections for all loops"
    stack.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ladder_serve'")
    bouncer.process.kill()
    bouncer.start()
    client = Client(server, game, key)
    wait_until(lambda: client.request("POST", "/boards/b/scores", {"player": "q", "score": 999}).status_code == 200, 15, "writes go on")
    all_play(10)
    assert client.read("/boards/b/players/q")["score"] == 999
    assert "prepared statement" not in server.log()
    assert server.stop() == 0
    bouncer.process.kill()
