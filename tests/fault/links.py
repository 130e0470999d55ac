"""Links that break, and that are bad."""
import shutil
import subprocess
import threading
import time

from fault.faults import Fault

NAMES = {"client": "clients and server", "primary": "server and primary", "replica": "server and replica", "redis": "server and Redis",
         "replication": "primary and replica"}


class BadLink(Fault):
    """Rules of proxy.py for one link. resets: what is open is reset when it begins, as only new connections are told."""
    during_s = (0.4, 0.8)

    def __init__(self, number, link, kind, sentence, resets=False, cycles=None, during_s=None, **rules):
        self.number, self.link, self.rules, self.resets = number, link, rules, resets
        self.name, self.sentence = f"{link}-{kind}", f"the link between {NAMES[link]} {sentence}"
        # Of the bad links the suite takes the worst: what says nothing, and what says nonsense.
        self.cycles = int(kind in ("silent", "garbage") and link in ("primary", "redis")) if cycles is None else cycles
        self.during_s = during_s or self.during_s

    def inject(self, field, dice):
        field.links[self.link].set(**self.rules)
        if self.resets:
            field.links[self.link].reset()

    def heal(self, field):
        field.links[self.link].heal()


class Reset(Fault):
    """Again and again, every connection of the link."""
    number, during_s = "F12", (0.3, 0.6)

    def __init__(self, link):
        self.cycles = int(link == "primary")
        self.link, self.name, self.sentence = link, f"{link}-reset", f"resets of the link between {NAMES[link]}"

    def inject(self, field, dice):
        self.is_over = False

        def run():
            while not self.is_over:
                field.links[self.link].reset()
                time.sleep(0.05)
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def heal(self, field):
        self.is_over = True
        self.thread.join()


class Swizzle(Fault):
    """Links go silent one after the other and come back in another order."""
    number, name, sentence, cycles, during_s = "F12", "swizzle", "the links go silent one by one and heal in another order", 1, (0.2, 0.4)

    def inject(self, field, dice):
        self.names = dice.sample(sorted(NAMES), 4)
        for name in self.names:
            field.links[name].set(drop="both")
            time.sleep(dice.uniform(0.05, 0.3))
        dice.shuffle(self.names)

    def heal(self, field):
        for name in self.names:
            field.links[name].heal()


class Loss(Fault):
    """Packets of the link that the kernel loses at random."""
    number, name, sentence, during_s = "F13", "loss", "a tenth of the packets between server and primary is lost", (0.5, 1.0)

    def why_not(self, field):
        if not shutil.which("nft"):
            return "there is no nft"
        done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
        return None if done.returncode == 0 else "this kernel or user can't nft"

    def inject(self, field, dice):
        port = field.links["primary"].port
        self.table = f"ladder_fault_{port}"
        rules = (f"table inet {self.table} {{ chain lose {{ type filter hook input priority 0; "
                 f"tcp dport {port} numgen random mod 100 < 10 drop; tcp sport {port} numgen random mod 100 < 10 drop; }}; }}")
        subprocess.run(["nft", rules], check=True)

    def heal(self, field):
        subprocess.run(["nft", "delete", "table", "inet", self.table], check=True)


def bad_links():
    for link in ("client", "primary", "replica", "redis"):
        yield BadLink("F12", link, "silent", "loses everything, and nobody is told", drop="both")
    yield BadLink("F12", "replication", "silent", "loses everything, and nobody is told", drop="both", cycles=0)
    yield BadLink("F12", "primary", "silent-long", "loses everything for longer than every deadline", drop="both", cycles=0, during_s=(6, 7))
    for link in ("primary", "redis"):
        yield BadLink("F12", link, "deaf", "loses what the server sends", drop="up")
        yield BadLink("F12", link, "mute", "loses the answers", drop="down")
        yield BadLink("F12", link, "refusing", "resets all and refuses new connections", resets=True, is_refusing=True)
        yield BadLink("F14", link, "half-open", "takes connections and never reads", resets=True, is_half_open=True)
        yield BadLink("F14", link, "garbage", "answers nonsense", has_garbage=True)
        yield BadLink("F14", link, "late", "is 20 to 120 ms late each way", up_ms=(20, 120), down_ms=(20, 120))
        yield BadLink("F14", link, "slow", "passes 16 kB a second", bytes_per_s=16000)
        yield BadLink("F14", link, "sliced", "passes seven bytes at a time", slice_bytes=7)
        yield BadLink("F14", link, "cut-short", "resets each connection after 20 kB", reset_after=20000)
    yield BadLink("F14", "client", "sliced", "passes seven bytes at a time", slice_bytes=7)
    yield BadLink("F14", "client", "late", "is 5 to 50 ms late each way", up_ms=(5, 50), down_ms=(5, 50))
    yield BadLink("F14", "client", "cut-short", "resets each connection after 5 kB", reset_after=5000)
    yield BadLink("F14", "replica", "late", "is 20 to 120 ms late each way", up_ms=(20, 120), down_ms=(20, 120))


FAULTS = [*bad_links(), *(Reset(link) for link in ("client", "primary", "redis", "replica", "replication")), Swizzle(), Loss()]
