"""A stack whose Redis is a real cluster: three primaries, three replicas, made and resharded by redis-cli."""
import re
import socket
import subprocess
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

from harness import Stack, free_port, wait_until

NODE_TIMEOUT_MS = 1500


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class ClusterStack(Stack):
    def redis_start(self):
        self.redis_ports, self.redis_processes = [], {}
        while len(self.redis_ports) < 6:
            port = free_port()
            if port < 22000 and is_free(port + 10000) and port not in self.redis_ports:  # the node's bus is there
                self.redis_ports.append(port)
        for port in self.redis_ports:
            self.node_start(port)
        self.redis_cli("--cluster", "create", *(f"127.0.0.1:{port}" for port in self.redis_ports), "--cluster-replicas", "1", "--cluster-yes")
        wait_until(lambda: self.is_settled() and len(self.primaries()) == 3, 20, "the cluster")
        self.redis_process = self.redis_processes[self.redis_ports[0]]
        self.redis_port = self.redis_ports[0]
        self.client_renew()

    def client_renew(self):
        """The test's own client does not survive a change of the map."""
        self.redis = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", port) for port in self.alive()], socket_timeout=100)

    def node_start(self, port):
        directory = self.directory / f"redis-{port}"
        directory.mkdir(exist_ok=True)
        self.redis_processes[port] = self.spawn(
            ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(directory),
             "--maxmemory-policy", "noeviction", "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
             "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--repl-diskless-sync-delay", "0"], f"redis-{port}")
        wait_until(lambda: self.is_answering(port), 10, "a node")

    @staticmethod
    def is_answering(port):
        try:
            return redis.Redis(port=port, socket_timeout=50).ping()
        except redis.exceptions.RedisError:
            return False

    def redis_cli(self, *words):
        done = subprocess.run(["redis-cli", *map(str, words)], capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr}"
        return done.stdout

    def alive(self):
        return [port for port, process in self.redis_processes.items() if process.is_alive()]

    def nodes(self):
        """port -> (id, flags, number of slots), as the first that lives has it."""
        found = {}
        for line in self.redis_cli("-p", self.alive()[0], "cluster", "nodes").splitlines():
            words = line.split()
            ranges = [word.split("-") for word in words[8:] if not word.startswith("[")]
            found[int(re.search(r":(\d+)@", words[1]).group(1))] = (words[0], words[2], sum(int(r[-1]) - int(r[0]) + 1 for r in ranges))
        return found

    def primaries(self):
        return [port for port, (_, flags, slots) in self.nodes().items() if "master" in flags and "fail" not in flags and slots]

    def is_settled(self):
        """Every node that lives says that all is well, and knows of every slot."""
        return all("cluster_state:ok" in self.redis_cli("-p", port, "cluster", "info") for port in self.alive())

    def is_agreed(self):
        """On who has what: a moment after a slot has moved not all have heard of it."""
        done = subprocess.run(["redis-cli", "--cluster", "check", f"127.0.0.1:{self.alive()[0]}"], capture_output=True, text=True, timeout=600)
        return "All nodes agree" in done.stdout and "All 16384 slots covered" in done.stdout

    def reshard(self, source, target, slots):
        wait_until(self.is_agreed, 30, "the nodes agree")
        nodes = self.nodes()
        self.redis_cli("--cluster", "reshard", f"127.0.0.1:{target}", "--cluster-from", nodes[source][0], "--cluster-to", nodes[target][0],
                       "--cluster-slots", slots, "--cluster-yes")
        self.client_renew()

    def slot_move(self, slot, target, pause):
        """As redis-cli does it, but slowly: one key at a time, so that what belongs together is apart for a while."""
        nodes = self.nodes()
        source = self.redis.nodes_manager.get_node_from_slot(slot).port
        here, there = redis.Redis(port=source, socket_timeout=100), redis.Redis(port=target, socket_timeout=100)
        there.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", nodes[source][0])
        here.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", nodes[target][0])
        moved = 0
        while keys := here.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            for key in keys:
                here.execute_command("MIGRATE", "127.0.0.1", target, key, 0, 5000)
                moved += 1
                time.sleep(pause)
        for port in [target, source] + [p for p in self.primaries() if p not in (target, source)]:
            redis.Redis(port=port, socket_timeout=100).execute_command("CLUSTER", "SETSLOT", slot, "NODE", nodes[target][0])
        self.client_renew()
        return moved

    def replace_primary(self, port):
        """Kills it; returns which other took its slots."""
        before = set(self.primaries())
        self.redis_processes[port].kill()
        successor = wait_until(lambda: set(self.primaries()) - before if self.is_settled() else None, 30, "a replica took over").pop()
        self.client_renew()
        return successor

    def environment(self, login="ladder", **settings):
        seeds = ",".join(f"127.0.0.1:{port}" for port in self.redis_ports[:4])
        return super().environment(login, **{"redis_url": f"redis-cluster://{seeds}", **settings})
