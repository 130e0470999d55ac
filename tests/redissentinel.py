"""A stack whose Redis is a primary and two replicas, watched by three sentinels."""
import redis

from harness import Stack, free_port, wait_until

NAME = "standings"
DOWN_AFTER_MS = 3000  # a busy machine lets a process stand still for a second
USER, PASSWORD = "asker", "a&b@c"  # of the sentinels: Redis has none


def sentinel(port):
    return redis.Redis(port=port, username=USER, password=PASSWORD, decode_responses=True)


class SentinelStack(Stack):
    def redis_start(self):
        self.redis_ports, self.sentinel_ports = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
        self.redis_processes = {}
        self.redis_port = self.redis_ports[0]
        for port in self.redis_ports:
            self.node_start(port, None if port == self.redis_port else self.redis_port)
        wait_until(lambda: redis.Redis(port=self.redis_port).info("replication")["connected_slaves"] == 2, 20, "the replicas")
        for port in self.sentinel_ports:
            file = self.directory / f"sentinel-{port}.conf"
            file.write_text(f"port {port}\nbind 127.0.0.1\ndir {self.directory}\nsentinel monitor {NAME} 127.0.0.1 {self.redis_port} 2\n"
                            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\nsentinel failover-timeout {NAME} 3000\n"
                            f"requirepass {PASSWORD}\nuser {USER} on >{PASSWORD} ~* &* +@all\n")
            self.spawn(["redis-server", str(file), "--sentinel"], f"sentinel-{port}")
        self.redis_process = self.redis_processes[self.redis_port]

        def is_watched():
            try:
                states = [sentinel(port).sentinel_master(NAME) for port in self.sentinel_ports]
                return all(s["num-slaves"] == 2 and s["num-other-sentinels"] == 2 for s in states)
            except redis.exceptions.RedisError:
                return False
        wait_until(is_watched, 30, "the sentinels know all")
        self.redis = redis.Redis(port=self.redis_port, socket_timeout=100)

    def node_start(self, port, primary=None):
        directory = self.directory / f"redis-{port}"
        directory.mkdir(exist_ok=True)
        self.redis_processes[port] = self.spawn(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(directory),
             "--maxmemory-policy", "noeviction", "--repl-diskless-sync-delay", "0",
             *(["--replicaof", "127.0.0.1", str(primary)] if primary else [])], f"redis-{port}")

        def is_answering():
            try:
                return redis.Redis(port=port, socket_timeout=50).ping()
            except redis.exceptions.RedisError:
                return False
        wait_until(is_answering, 10, "Redis")

    def primary_of_all(self):
        """The port, when all sentinels name the same."""
        named = {sentinel(port).sentinel_get_master_addr_by_name(NAME)[1] for port in self.sentinel_ports}
        return int(named.pop()) if len(named) == 1 else None

    def redis_order(self):
        """An operator has another take over."""
        sentinel(self.sentinel_ports[0]).sentinel_failover(NAME)

    def follow(self, other_than=None):
        """Waits for a primary, which the stack's own client takes for its Redis."""
        def found():
            port = self.primary_of_all()
            return port if port and port != other_than and redis.Redis(port=port).role()[0] in (b"master", "master") else None
        self.redis_port = wait_until(found, 30, "a primary")
        self.redis = redis.Redis(port=self.redis_port, socket_timeout=100)
        self.redis_process = self.redis_processes[self.redis_port]

    def moved_on(self):
        """Waits for another primary; the port of the one before."""
        before = self.redis_port
        self.follow(other_than=before)
        return before

    def environment(self, login="ladder", **settings):
        sentinels = ",".join(f"127.0.0.1:{port}" for port in self.sentinel_ports)
        return super().environment(login, **{"redis_url": f"redis-sentinel://{sentinels}/{NAME}?sentinel_password={PASSWORD}", **settings})
