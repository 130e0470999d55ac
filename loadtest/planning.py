"""What a load costs, from what its requests cost one by one: loadtest/costs measures those (costs.json) and holds these predictions to runs,
loadtest/capacity plans with them."""
import json
import math
import pathlib

COSTS = pathlib.Path(__file__).resolve().parent / "costs.json"
GROUPS = ("serve", "redis", "postgres", "work")
READS = {"top": 0.6, "player": 0.2, "around": 0.2}  # the mix of reads that is planned with


def costs_read(path=COSTS):
    return json.loads(pathlib.Path(path).read_text())


class Model:
    def __init__(self, costs):
        self.costs, self.routes = costs, costs["routes"]

    def read(self, key, hits):
        """Of one read of the mix, this share of which comes from memory: µs of a group, or bytes. The bytes do not depend on where from."""
        made = sum(share * self.routes[f"{name}, from Redis"][key] for name, share in READS.items())
        return made if key == "bytes" else hits * self.routes["top, from memory"][key] + (1 - hits) * made

    def batch(self, writes):
        """How many submissions a transaction has, in the mean, at so many a second. One takes `transaction_ms`; what comes meanwhile (a, in the mean)
        is the next one, and the first that comes after a pause is one by itself: that makes a + e^-a."""
        a = writes * self.costs["transaction_ms"] / 1000
        return a + math.exp(-a)

    def transaction(self, key):
        """What a transaction costs apart from its rows: from submissions one by one, and many in a transaction."""
        alone, many = self.routes["submission, alone"], self.routes["submission, 1 window"]
        return max(0.0, (alone[key] - many[key]) / (1 / alone["batch"] - 1 / many["batch"]))

    def submission(self, key, windows, batch):
        """Of one submission among so many in a transaction. What the second window adds, each further one adds too."""
        one, two = (self.routes[f"submission, {n}"] for n in ("1 window", "2 windows"))
        row, row_of_two = (x[key] - self.transaction(key) / x["batch"] for x in (one, two))
        return max(0.0, row) + max(0.0, row_of_two - row) * (windows - 1) + self.transaction(key) / batch

    def cores(self, group, reads, hits, writes, windows):
        """Used by so many requests a second."""
        return (reads * self.read(group, hits) + writes * self.submission(group, windows, self.batch(writes)) + self.costs["idle"][group]) / 1e6

    def sent(self, reads, writes, windows):
        """Bytes a second of all answers."""
        return reads * self.read("bytes", 0) + writes * self.submission("bytes", windows, self.batch(writes))

    def wal(self, writes, windows):
        """Bytes a second."""
        return writes * self.submission("wal", windows, self.batch(writes))

    def syncs(self, writes):
        """Transactions of submissions a second, each of which waits for the disk."""
        return writes / self.batch(writes)

    def submissions_most(self):
        """A second, that keep one core of PostgreSQL's primary busy: when many are under way at a time, and in batches of 100."""
        return tuple(1e6 / self.routes[name]["postgres"] for name in ("submission, 1 window", "submission, in a batch of 100"))

    def changes_most(self):
        """Submissions a second that keep Redis's thread busy, the same two."""
        return tuple(1e6 / self.routes[name]["redis"] for name in ("submission, 1 window", "submission, in a batch of 100"))

    def read_by_sql(self, key):
        """Of one read of the mix that PostgreSQL answers."""
        return sum(share * self.routes[f"{name}, from PostgreSQL"][key] for name, share in READS.items())
