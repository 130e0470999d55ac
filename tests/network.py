"""A network of hosts on one machine: a namespace each, on a switch, with a cable that can be pulled.

Whoever makes one is in a network of his own until he closes it, with the threads and processes that he starts meanwhile; nothing of
it is seen outside, and nothing is left of it however he ends. Takes root.
"""
import ctypes
import os
import signal
import subprocess
import time

SUBNET = "10.77.0"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def ip(*words, at=()):
    done = subprocess.run([*at, "ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def refusal():
    """Why this machine lets nobody have one: what ip says; empty if it does."""
    script = "ip link add switch type bridge && ip link add cable type veth peer name end0 && ip link set cable master switch"
    return subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True).stderr.strip()


class Network:
    def __init__(self):
        self.outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        self.holders = {}  # by name of the host: the process that keeps its namespace
        check(LIBC.unshare(CLONE_NEWNET))
        ip("link", "set", "lo", "up")
        ip("link", "add", "switch", "type", "bridge")
        ip("addr", "add", f"{SUBNET}.1/24", "dev", "switch")
        ip("link", "set", "switch", "up")

    def host(self, name):
        """The address of a new one."""
        holder = self.holders[name] = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"])
        while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/thread-self/ns/net"):
            time.sleep(0.01)
        address = f"{SUBNET}.{1 + len(self.holders)}"
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        ip("addr", "add", f"{address}/24", "dev", "eth0", at=self.on(name))
        ip("link", "set", "eth0", "up", at=self.on(name))
        ip("link", "set", "lo", "up", at=self.on(name))
        ip("link", "set", name, "master", "switch", "up")
        return address

    def on(self, name):
        """What a command begins with, to run there."""
        return ["nsenter", f"--net=/proc/{self.holders[name].pid}/ns/net", "--"]

    def pull(self, name):
        """The cable: what is sent is not answered, and nobody is told."""
        ip("link", "set", name, "down")

    def plug(self, name):
        ip("link", "set", name, "up")

    def close(self):
        for holder in self.holders.values():
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        check(LIBC.setns(self.outside, CLONE_NEWNET))
        os.close(self.outside)
