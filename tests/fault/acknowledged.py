"""Clients that note what they sent and what they were answered, and the check of it against what is there afterwards.

A submission is acknowledged when its 200 was read in full; whatever else happens to it, its outcome is unknown: it may have been
taken, be taken later, or never. Three boards show losses, doublings and inventions, each in its own way:

    best   values of a player only rise: what is read can be held to what was acknowledged at that moment (histories.py)
    sum    powers of two with an Idempotency-Key: a sum says which of them it holds, and each at most once. Its players have facets,
           whose standings must say the same
    last   one writer a player: what stays is his last, or one whose outcome is unknown
"""
import collections
import http.client
import json
import random
import socket
import threading
import time

from fault.histories import Operation

POWERS = 50          # of each player's sum; then comes another player
BUSY = (408, 429, 503)
CLIENT_TIMEOUT_S = 8


class Wire:
    """A thread's connections; a broken one is made again for the next request."""

    def __init__(self, key):
        self.head = {"Authorization": "Bearer " + key}
        self.connections = {}

    def request(self, port, method, path, body=None, headers=None):
        """-> (status, fields, body); an OSError or HTTPException: no whole answer came."""
        connection = self.connections.get(port)
        if not connection:
            connection = self.connections[port] = http.client.HTTPConnection("127.0.0.1", port, timeout=CLIENT_TIMEOUT_S)
        sent = dict(self.head, **(headers or {}))
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read()
        except BaseException:
            self.connections.pop(port, None)
            connection.close()
            raise
        if answer.will_close:
            self.connections.pop(port, None)
            connection.close()
        return answer.status, answer.headers, text

    def abort(self):
        """From another thread: whoever waits for an answer gets none."""
        for connection in list(self.connections.values()):
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except (OSError, AttributeError):
                pass


class Submission:
    """One that was sent: its place in the history, and how to send it again."""
    __slots__ = ("board", "player", "score", "key", "is_acknowledged", "is_retried", "answer")

    def __init__(self, board, player, score, key):
        self.board, self.player, self.score, self.key = board, player, score, key
        self.is_acknowledged, self.is_retried, self.answer = False, False, None

    def body(self):
        facets = {"facets": {"country": f"c{self.score % 3}"}} if self.board == "sum" else {}
        return json.dumps({"player": self.player, "score": self.score, **facets})


class Ledger:
    """What all clients sent and got. Each thread appends only."""

    def __init__(self):
        self.submissions, self.history, self.single = [], [], []
        self.wrong, self.busy, self.reads = [], 0, 0
        self.slowest = 0.0

    def blame(self, what, *details):
        self.wrong.append(f"{what}: {' '.join(str(d)[:400] for d in details)}")


class Endpoint:
    """A server as clients know it; `incarnation` changes when its process does."""

    def __init__(self, name, port, is_single=False):
        self.name, self.port, self.is_single = name, port, is_single
        self.incarnation = 0

    @property
    def process(self):
        return f"{self.name}#{self.incarnation}"


def via(fields):
    return f"({fields.get('Cache-Status')}; {fields.get('Server-Timing')})"


class Load:
    """Writers and readers on every endpoint until stop(). The single endpoint has boards of its own, asked of by nobody else."""

    def __init__(self, game, key, endpoints, seed, writers=3, singles=2):
        self.game, self.ledger, self.is_over = game, Ledger(), False
        self.prefix = f"c{seed}-"  # of its players: boards serve several loads, one after the other
        self.shared = [e for e in endpoints if not e.is_single]
        self.single = next((e for e in endpoints if e.is_single), None)
        self.seed = seed
        self.players = [f"{self.prefix}w{n}-{i}" for n in range(writers) for i in range(2)]
        self.wires = [Wire(key) for _ in range(writers + (singles if self.single else 0))]
        self.threads = [threading.Thread(target=self.guarded, args=(self.write, n, self.wires[n]), daemon=True) for n in range(writers)]
        if self.single:
            self.threads += [threading.Thread(target=self.guarded, args=(self.alone, n, self.wires[writers + n]), daemon=True) for n in range(singles)]

    def start(self):
        [t.start() for t in self.threads]

    def stop(self):
        self.is_over = True
        for _ in range(100):
            for thread in self.threads:
                thread.join(0.02)
            if not any(t.is_alive() for t in self.threads):
                return
            [wire.abort() for wire in self.wires]
        raise AssertionError("a client does not stop")

    def guarded(self, run, *arguments):
        try:
            run(*arguments)
        except Exception as error:  # noqa: BLE001 -- told by the check
            self.ledger.blame("a client failed", type(error).__name__, error)

    # ---- one request, noted ----

    def ask(self, wire, endpoint, method, path, body=None, headers=None):
        """-> (status, fields, value, invoked, answered, process); status None: no answer."""
        process, invoked = endpoint.process, time.monotonic()
        try:
            status, fields, text = wire.request(endpoint.port, method, f"/v1/games/{self.game}{path}", body, headers)
        except (OSError, http.client.HTTPException, AttributeError):  # the last: aborted while it was being made
            if not self.is_over:
                time.sleep(0.01)
            return None, {}, None, invoked, time.monotonic(), process
        answered = time.monotonic()
        self.ledger.slowest = max(self.ledger.slowest, answered - invoked)
        try:
            value = json.loads(text)
        except ValueError:
            value = None
            self.ledger.blame("not JSON", method, path, status, text)
        if status in BUSY or status == 409 and headers and "Idempotency-Key" in headers:  # repeated by somebody else, who was first
            self.ledger.busy += 1
            if status == 503 and not fields.get("Retry-After"):
                self.ledger.blame("503 without Retry-After", method, path, text)
            time.sleep(0.05)  # a client that was told to come again does not at once
        elif status not in (200, 404):
            self.ledger.blame("a status that is none of those allowed", method, path, status, text)
        return status, fields, value, invoked, answered, process

    def submit(self, wire, endpoint, submission, history):
        """-> the operation noted, where its outcome is known."""
        headers = {"Idempotency-Key": submission.key} if submission.key else None
        ledger = self.ledger
        ledger.submissions.append(submission)
        is_best = submission.board in ("best", "alone")
        invoked = time.monotonic()
        if is_best:  # before it is sent: who reads it meanwhile did not invent it
            operation = Operation("W", submission.player, submission.score, invoked, invoked)
            history.append(operation)
        status, fields, value, _, answered, process = self.ask(wire, endpoint, "POST", f"/boards/{submission.board}/scores", submission.body(), headers)
        if status == 404:
            ledger.blame("a board that is there was not found", submission.board, value)
        if status != 200 or not value:
            return None, None
        submission.is_acknowledged, submission.answer = True, value
        if not is_best:
            return None, fields["Ladder-Token"]
        history.append(Operation("r", submission.player, value["entry"]["score"], invoked, answered, process))
        operation.server, operation.answered, operation.kind = process, answered, "w"
        return operation, fields["Ladder-Token"]

    def read_player(self, wire, endpoint, board, player, history, shown=None, token=None):
        status, fields, value, invoked, answered, process = self.ask(wire, endpoint, "GET", f"/boards/{board}/players/{player}",
                                                                headers={"Ladder-Token": token} if token else None)
        if status in (200, 404) and value:
            self.ledger.reads += 1
            if status == 404 and value.get("type", "").rsplit("/", 1)[-1] == "board-not-found":
                self.ledger.blame("a board that is there was not found", board, value)
            history.append(Operation("r", player, value["score"] if status == 200 else 0, invoked, answered, process, shown, via(fields)))

    def read_page(self, wire, endpoint, board, players, history, shown=None, token=None):
        """A page that has room for every player: a read of each."""
        status, fields, value, invoked, answered, process = self.ask(wire, endpoint, "GET", f"/boards/{board}/top?limit=500",
                                                                headers={"Ladder-Token": token} if token else None)
        if status == 404:
            self.ledger.blame("a board that is there was not found", board, value)
        if status != 200 or not value:
            return
        self.ledger.reads += 1
        entries = value["entries"]
        found = {entry["player"]: entry["score"] for entry in entries if entry["player"].startswith(self.prefix)}
        names = {entry["player"] for entry in entries}
        scores = [entry["score"] for entry in entries]
        if len(names) != len(entries) or scores != sorted(scores, reverse=True) or [e["rank"] for e in entries] != list(range(1, len(entries) + 1)):
            twice = sorted(name for name, count in collections.Counter(entry["player"] for entry in entries).items() if count > 1)
            places = [(e["rank"], e["player"], e["score"]) for e in entries]
            wrong = next((n for n in range(len(places)) if places[n][0] != n + 1 or n and scores[n] > scores[n - 1]), None)
            self.ledger.blame(f"a page out of order ({via(fields)}; twice: {[p for p in places if p[1] in twice]}; from place {wrong})", board,
                              places[max(0, (wrong or 0) - 3):])
        for player in players:
            history.append(Operation("r", player, found.pop(player, 0), invoked, answered, process, shown, via(fields)))
        if found:
            self.ledger.blame("players that nobody sent", board, found)

    # ---- the clients ----

    def write(self, number, wire):
        dice = random.Random(self.seed * 100 + number)
        mine = [p for p in self.players if p.startswith(f"{self.prefix}w{number}-")]
        values = {p: 0 for p in mine}
        shown = token = None
        power = last = 0
        while not self.is_over:
            endpoint = dice.choice(self.shared)
            chance = dice.random()
            if chance < 0.35:
                player = dice.choice(mine)
                values[player] += dice.randint(1, 5)
                key = f"{self.seed}-{number}-b{values[player]}-{player}" if dice.random() < 0.5 else None
                operation, its = self.submit(wire, endpoint, Submission("best", player, values[player], key), self.ledger.history)
                if operation:
                    shown, token = operation, its
            elif chance < 0.5:
                self.submit(wire, endpoint, Submission("sum", f"{self.prefix}s{number}-{power // POWERS}", 1 << power % POWERS, f"{self.seed}-{number}-s{power}"), None)
                power += 1
            elif chance < 0.55:
                last += 1
                self.submit(wire, endpoint, Submission("last", f"{self.prefix}l{number}", last * 7 % 1000 * 1000 + last, f"{self.seed}-{number}-l{last}"), None)
            elif chance < 0.75:
                has_token = dice.random() < 0.6 and token
                self.read_player(wire, endpoint, "best", dice.choice(self.players if not has_token else mine), self.ledger.history,
                                 *((shown, token) if has_token else ()))
            else:
                has_token = dice.random() < 0.5 and token
                self.read_page(wire, endpoint, "best", self.players, self.ledger.history, *((shown, token) if has_token else ()))

    def alone(self, number, wire):
        """Two clients of one server that has only the primary: what they see must be linearizable."""
        dice = random.Random(self.seed * 100 + 50 + number)
        players, value = [self.prefix + "a0", self.prefix + "a1"], 0
        while not self.is_over:
            chance = dice.random()
            if chance < 0.4:
                value += dice.randint(1, 3)
                self.submit(wire, self.single, Submission("alone", dice.choice(players), value * 10 + number, None), self.ledger.single)
            elif chance < 0.8:
                self.read_player(wire, self.single, "alone", dice.choice(players), self.ledger.single)
            else:
                self.read_page(wire, self.single, "alone", players, self.ledger.single)


# ---- afterwards ----

def lost_and_phantom(ledger, events):
    """events: (board, player, score) of every submission that the database has. -> (lost, phantom), both lists."""
    there = collections.Counter(events)
    sent = {(s.board, s.player, s.score) for s in ledger.submissions}
    lost = [s for s in ledger.submissions if s.is_acknowledged and (s.board, s.player, s.score) not in there]
    phantom = [event for event, count in there.items() if event not in sent or count > 1]
    return lost, phantom


def standings_wrong(ledger, events, entries):
    """What the boards' entries, {board: {player: score}}, show that is not what the submissions in the database come to."""
    wrong = []
    by_player = collections.defaultdict(list)
    for board, player, score in events:
        by_player[board, player].append(score)
    for (board, player), scores in by_player.items():
        found = entries[board].get(player)
        if board == "sum":
            right = found == sum(scores)
        elif board == "last":
            its = [s for s in ledger.submissions if s.board == board and s.player == player]
            unknown = {s.score for s in its if not s.is_acknowledged}
            acknowledged = [s.score for s in its if s.is_acknowledged]
            right = found in unknown | set(acknowledged[-1:])
        else:
            right = found == max(scores)
        if not right:
            wrong.append(f"{board}: {player} has {found}, sent were {sorted(scores)[-5:]}")
    wrong += [f"{board}: {player} has {score}, nobody sent anything" for board, its in entries.items() for player, score in its.items()
              if (board, player) not in by_player]
    return wrong
