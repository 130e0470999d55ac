"""Random clients against real servers, every answer held to the model.

Each board is written by one request at a time, so its history is a sequence of states. A read that was answered must be
exactly what the model gives for one state between two bounds:

    floor     the newest of: acknowledged by the same server before the read was sent; covered by the token that the read
              shows; seen before in an answer of the same server (no client goes back in time)
    ceiling   the newest change that had been sent when the answer came

Some writes are several at once: two to four requests to all servers, on one player or a few. Who came first on a player, the answers
say: what each found there before. Between players there is no order: Redis, or a snapshot of PostgreSQL, may have the first
two writes on one player and none on another, so while they are under way each such combination (cut) is a state that a read
may show; and a floor is the cut that holds the writes that the server had acknowledged, or an answer of it had shown.

Where the board has a max_staleness_ms, an answer that says that it is stale may be of a state that was the newest so long before.
Where its period ends, the answer says which one it is of: one that was current while the read was under way.

One process has one event loop, many connections to every server, and boards of its own: so before and after are certain.
"""
import base64
import collections
import ctypes
import ctypes.util
import itertools
import json
import random as random_module
import re
import selectors
import socket
import time
import zlib

import model

FIELD = re.compile(rb"\r\n([^:\r]+): ([^\r]*)")
STATES_KEPT = 400
PERIOD = re.compile(r'"window":"hourly","period":"([^"]+)"')
EMPTY = model.State([], {})
CLOCKS_S = 0.005  # by which the clocks of two processes may differ where the machine is a virtual one
BURST_MAX = 4


def brotli(data, size_max=1 << 20):
    library = ctypes.CDLL(ctypes.util.find_library("brotlidec"))
    out, size = ctypes.create_string_buffer(size_max), ctypes.c_size_t(size_max)
    assert library.BrotliDecoderDecompress(ctypes.c_size_t(len(data)), data, ctypes.byref(size), out) == 1
    return out.raw[:size.value]


def is_applied(token):
    """Did Redis have the whole write when it was answered (board/token.h)? That an answer's ranks came from Redis says nothing of the
    standing that a player has left."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[1] != 0


class Violation(Exception):
    pass


class Answer:
    __slots__ = ("status", "fields", "body")

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def field(self, name):
        return self.fields.get(name, b"").decode()

    def whole(self):
        coding = self.fields.get(b"Content-Encoding")
        if coding == b"gzip":
            return zlib.decompress(self.body, 31)
        return brotli(self.body) if coding == b"br" else self.body


class Connection:
    """Sends requests, several at once, and hands back their answers in order."""

    def __init__(self, checker, server, port):
        self.checker, self.server = checker, server
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.waiting = collections.deque()
        self.data = b""
        checker.selector.register(self.socket, selectors.EVENT_READ, self)

    def send(self, requests):
        """requests: (bytes, done)."""
        self.waiting.extend(done for _, done in requests)
        data = b"".join(text for text, _ in requests)
        while data:
            try:
                data = data[self.socket.send(data):]
            except BlockingIOError:
                time.sleep(0.001)

    def on_readable(self):
        received = self.socket.recv(262144)
        if not received:
            raise Violation("the server closed a connection")
        self.data += received
        while self.waiting:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return
            fields = dict(FIELD.findall(self.data[:end]))
            status = int(self.data[9:12])
            size = end + 4 + (0 if status == 304 else int(fields[b"Content-Length"]))
            if len(self.data) < size:
                return
            answer = Answer(status, fields, self.data[end + 4:size])
            self.data = self.data[size:]
            self.waiting.popleft()(answer)


class Watched:
    """A board, its history, and what each server is known to know of it."""

    def __init__(self, board, players, scores, servers, random, rankings):
        self.board, self.players, self.scores, self.random, self.rankings = board, players, scores, random, rankings
        self.states = {0: model.State([], {})}
        self.last = 0                   # the newest state that is known
        self.begun = 0                  # the newest that a write under way may make
        self.acknowledged = [0] * servers
        self.seen = collections.Counter()  # by server and standing: of several, one may be brought to Redis before another
        self.tokens = collections.deque([(0, None)], 4)  # (state, token), the newest last
        self.undecided = []             # answers that only a write under way can explain
        # What is stale is given out only while somebody else asks for the same.
        self.hot = [self.draw() for _ in range(2 if board.max_staleness_ms else 8)]
        self.unsettled = []             # the questions that show the last change, which may not be in Redis yet
        self.raced = []                 # those of them that ask for one of several writes at once
        self.copies = {}                # path -> (etag, modified, body), some client's
        self.history = [collections.deque([(0, 0)]) for _ in range(servers)]  # (when, the newest acknowledged by then)
        self.cuts = {}                  # state -> (the first state of its writes at once, how far each player is), of those
        self.race = None                # writes at once that are under way
        self.notes = collections.deque(maxlen=12)  # of the last writes, for evidence: state, server, is it in Redis, what
        self.periods = {0: None}        # state -> the period it is of, where they roll
        self.ends = {}                  # period -> its newest state

    @property
    def is_free(self):
        return self.begun == self.last and not self.unsettled

    def draw(self):
        return model.draw(self.board, self.players, self.scores, self.random, self.rankings)

    def push(self, state, period=None):
        self.last += 1
        self.states[self.last] = state
        self.states.pop(self.last - STATES_KEPT, None)
        self.cuts.pop(self.last - STATES_KEPT, None)
        if self.board.rolls:
            self.periods[self.last] = period
            self.ends[period] = self.last

    def view(self, number, period):
        """What a state is to who asks for a period; None: it is too long ago."""
        if not self.board.rolls:
            return self.states.get(number)
        its = self.periods[number]
        if its is None or its < period:
            return EMPTY
        return self.states.get(number if its == period else self.ends[period]) if period in self.ends else EMPTY

    def join(self, a, b):
        """The oldest state that has all that two states have."""
        if a in self.cuts and b in self.cuts and self.cuts[a][0] == self.cuts[b][0]:
            first, of_a = self.cuts[a]
            wanted = tuple(map(max, of_a, self.cuts[b][1]))
            return next(number for number in range(max(a, b), self.last + 1) if self.cuts[number] == (first, wanted))
        return max(a, b)

    def has_all_of(self, number, floor):
        """Has a state, not older than `floor`, all that the floor has?"""
        if number not in self.cuts or floor not in self.cuts or self.cuts[number][0] != self.cuts[floor][0]:
            return True
        return all(map(int.__ge__, self.cuts[number][1], self.cuts[floor][1]))

    def acknowledged_before(self, server, when):
        """The newest state that this server had acknowledged by then."""
        return next((number for at, number in reversed(self.history[server]) if at <= when), 0)


class Race:
    """Writes at once on a board. wants: of each, its player, and what was sent (None: he is removed)."""

    def __init__(self, watched, wants):
        self.base, self.wants = watched.last, wants
        self.answers = [None] * len(wants)
        self.done = collections.defaultdict(set)  # server -> its writes that were acknowledged
        self.tokens = []                          # (write, token)
        self.players = list(dict.fromkeys(player for player, _ in wants))
        self.of = {player: [i for i, (its, _) in enumerate(wants) if its == player] for player in self.players}
        self.size = 1
        for its in self.of.values():
            self.size *= len(its) + 1
        self.places = None  # of each write: its place among its player's, from 1 on

    def cut_of(self, writes):
        """How far each player is at least when these writes are there."""
        return tuple(max((self.places[i] for i in self.of[player] if i in writes), default=0) for player in self.players)


class Read:
    __slots__ = ("watched", "server", "query", "floor", "acknowledged", "copy", "condition", "sent_at", "has_token", "race", "writes")

    def __init__(self, watched, server, query, shown):
        """shown: (the state, or None and a write at once, that a token is of; the token); or None."""
        self.watched, self.server, self.query, self.copy, self.has_token = watched, server, query, None, shown is not None
        self.sent_at = time.time()
        self.acknowledged = watched.acknowledged[server]
        self.race = watched.race
        self.writes = set(self.race.done.get(server, ())) if self.race else set()
        if shown and shown[0] is None:
            self.writes.add(shown[1])
        elif shown:
            self.acknowledged = watched.join(self.acknowledged, shown[0])
        self.floor = watched.join(self.acknowledged, watched.seen[server, query.facet])

    def floored(self, number, writes):
        """A floor, and the writes at once that had been acknowledged, whose places are known."""
        if not writes:
            return number
        cut = self.race.cut_of(writes)
        its = next(n for n, known in self.watched.cuts.items() if known == (self.race.base + 1, cut))
        return self.watched.join(number, its)


class Checker:
    def __init__(self, ports, game, key, seed, prefix, rolls, connections=6, writes=0.08, races=0, rankings=model.RANKINGS, facets=model.FACETS):
        self.random = random_module.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.game, self.ports, self.writes, self.races = game, ports, writes, races
        self.head = f" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        self.counts = collections.Counter()
        self.rankings, self.rolls = rankings, rolls
        self.boards = [self.watched(board, i) for i, board in enumerate(model.boards(prefix, facets))]
        self.connections = [Connection(self, server, port) for server, port in enumerate(ports) for _ in range(connections)]
        self.is_disturbed = False
        self.stop = None  # an event
        self.is_ending = False
        self.serial = 0
        self.clock = 0
        self.latest = None

    def watched(self, board, i):
        count = (5, 12, 200, 40, 80, 25)[i % 6]
        players = [f"{'pqé'[n % 3]}{n}" for n in range(count)]
        scores = (-10, 20) if board.operator == "sum" or i % 2 else (0, 100000)
        return Watched(board, players, scores, len(self.ports), self.random, self.rankings)

    # ---- the run ----

    def run(self, operations, seconds=1e9):
        """Until so many operations were checked."""
        until = time.monotonic() + seconds
        self.is_ending = False
        for connection in self.connections:
            self.next(connection)
        stalled_at = time.monotonic() + 20
        while any(connection.waiting for connection in self.connections):
            ready = self.selector.select(1.0)
            now = time.monotonic()
            if ready:
                stalled_at = now + 20
            if now > stalled_at:
                raise Violation("no answer within 20 s")
            self.is_ending = self.counts["operations"] >= operations or now > until or bool(self.stop and self.stop.is_set())
            for key, _ in ready:
                key.data.on_readable()
                if not key.data.waiting and not self.is_ending:
                    self.next(key.data)

    def close(self):
        for connection in self.connections:
            connection.socket.close()
        self.selector.close()

    def next(self, connection):
        if self.random.random() < self.writes * 2:  # a burst of reads is two or three
            free = [w for w in self.boards if w.is_free]
            if free:
                self.write(connection, free)
                return
        reads = [self.read_of(connection.server) for _ in range(self.random.randint(1, BURST_MAX))]
        unsettled = [w for w in self.boards if w.unsettled] if self.is_disturbed else ()
        if unsettled:
            watched = self.random.choice(unsettled)
            reads.append(self.read_of(connection.server, watched, self.random.choice(watched.unsettled)))
        connection.send(reads)

    # ---- reading ----

    def read_of(self, server, watched=None, query=None, has_token=None):
        random = self.random
        watched = watched or random.choice(self.boards)
        if not query:
            if random.random() < 0.02:
                watched.hot[random.randrange(len(watched.hot))] = watched.draw()
            query = random.choice(watched.hot) if random.random() < 0.85 else watched.draw()
        if has_token is None:
            has_token = random.random() < 0.25
        token = shown = None
        if has_token and watched.race and watched.race.tokens:
            write, token = random.choice(watched.race.tokens)
            shown = (None, write)
        elif has_token and watched.tokens[-1][1]:
            shown = watched.tokens[-1]
            token = shown[1]
        read = Read(watched, server, query, shown)
        text = f"GET /v1/games/{self.game}{query.path}{self.head}"
        if token:
            text += f"Ladder-Token: {token}\r\n"
        chance = random.random()
        if chance < 0.15:
            text += "Accept-Encoding: gzip, br;q=%s\r\n" % random.choice(("1", "0.5"))
        copy = watched.copies.get(query.path) if chance < 0.4 else None
        if copy:
            read.copy = copy
            read.condition = f"If-None-Match: {copy[0]}" if chance < 0.25 or not copy[1] else f"If-Modified-Since: {copy[1]}"
            text += read.condition + "\r\n"
        return (text + "\r\n").encode(), lambda answer: self.on_read(read, answer)

    def on_read(self, read, answer):
        self.counts["operations"] += 1
        self.counts["reads"] += 1
        self.counts[answer.field(b"Ladder-Cache")] += 1
        watched, query = read.watched, read.query
        source = answer.field(b"Server-Timing").split(",")[0]
        is_copied = answer.status == 304
        if is_copied:
            self.counts["not modified"] += 1
            if not read.copy:
                raise Violation(f"304 to a request without a condition: {query.path}")
            status, body = 200, read.copy[2]
        else:
            status, body = answer.status, answer.whole().decode()
            if not body.endswith("\n"):
                raise Violation(f"{query.path}: the answer does not end with a newline: {body[-100:]}")
            body = body[:-1]
        text = body  # as it came: below, its period may be replaced
        self.counts[source] += 1
        # What PostgreSQL says is ahead of Redis, or, on a replica, behind what other servers wrote.
        is_redis = source in ("memory", "redis")
        floor = read.floor if is_redis or source == "primary" else read.acknowledged
        writes = read.writes
        if answer.field(b"Ladder-Cache") == "stale":
            if not watched.board.max_staleness_ms or read.has_token:
                raise Violation(f"{query.path} was answered with what is stale; asked with a token: {bool(read.has_token)}")
            is_redis = False
            writes = ()
            floor = watched.acknowledged_before(read.server, read.sent_at - watched.board.max_staleness_ms / 1000)
        ceiling = watched.begun
        periods = self.periods_of(read, body)
        if periods:
            body = PERIOD.sub('"window":"all","period":"all"', body, count=1)
        is_open = bool(writes) and not read.race.places  # what it must show is not known yet
        if not is_open:
            floor = read.floored(floor, writes)
        found = None if is_open else self.find(watched, query, status, body, floor, min(ceiling, watched.last), source, periods)
        if found is None:
            evidence = lambda: self.evidence(read, answer, status, body, floor, ceiling, source)  # noqa: E731
            if ceiling == watched.last:
                raise Violation(evidence())
            watched.undecided.append((read, writes, query, status, body, floor, ceiling, source, periods, evidence,
                                      (read.server, query.facet) if is_redis else None))
        elif is_redis:
            watched.seen[read.server, query.facet] = watched.join(watched.seen[read.server, query.facet], found)
        if watched.unsettled and periods and periods[0] > (watched.periods[watched.last] or 0):
            watched.unsettled.clear()  # nobody asks for that one any more
        if query in watched.unsettled and source == "redis" and watched.begun == watched.last and (
                found == watched.last or query in watched.raced and self.matches(query, watched.states[watched.last], status, body, source)):
            watched.unsettled.remove(query)
        if answer.status == 200 and not is_copied:
            if len(watched.copies) > 300:
                watched.copies.clear()
            watched.copies[query.path] = (answer.field(b"ETag"), answer.field(b"Last-Modified"), text)
            self.cursor_follow(watched, query, body, source)

    def cursor_follow(self, watched, query, body, source):
        """Sometimes a cursor of what was read becomes a question of its own."""
        if watched.board.rolls or not isinstance(query, (model.Top, model.After)) or self.random.random() > 0.02 or not body.endswith('"}'):
            return
        page = json.loads(body)
        last = page["entries"][-1]
        if "achieved_at" not in last or "subscore" not in last:
            return
        board = watched.board
        key = board.key(last["score"], last["subscore"], model.time_us(last["achieved_at"]))
        view = "/range" if "/range" in query.path else "/top"
        pair_max = query.pair_max if isinstance(query, model.After) else None
        watched.hot[self.random.randrange(len(watched.hot))] = model.After(
            board, view, page["next"], key + (last["player"],), pair_max, self.random.choice((1, 3, 10)), ranking=query.ranking,
            fields=query.fields, facet=query.facet)

    def periods_of(self, read, body):
        """The periods that an answer may be about: the one that it names, if that was current; or those that were. None: no periods."""
        if not read.watched.board.rolls:
            return None
        current = range(self.rolls.at(int((read.sent_at - CLOCKS_S) * 1e6)), self.rolls.at(int((time.time() + CLOCKS_S) * 1e6)) + 1)
        named = PERIOD.search(body)
        if not named:
            return current
        start = model.time_us(named.group(1))
        if start not in [self.rolls.start(period) for period in current]:
            raise Violation(f"{read.query.path} at {read.sent_at}: period {named.group(1)} is not among {list(current)} of {vars(self.rolls)}")
        self.counts["rolled"] += current[-1] > (self.latest or current[-1])
        self.latest = current[-1]
        return [self.rolls.at(start)]

    def find(self, watched, query, status, body, floor, ceiling, source, periods):
        """The oldest allowed state of which this is the answer, among cuts what all those have; None: there is none."""
        def is_it(number):
            for period in periods or (None,):
                state = watched.view(number, period)
                if state is None:
                    raise Violation(f"{watched.board.name}: {STATES_KEPT} states are not enough")
                if self.matches(query, state, status, body, source):
                    return True
            return False
        allowed = (number for number in range(floor, ceiling + 1) if watched.has_all_of(number, floor))
        found = next((number for number in allowed if is_it(number)), None)
        if found not in watched.cuts:
            return found
        first, cut = watched.cuts[found]
        for number in allowed:
            if number not in watched.cuts or watched.cuts[number][0] != first:
                break
            if is_it(number):
                cut = tuple(map(min, cut, watched.cuts[number][1]))
        return first - 1 if not any(cut) else next(n for n in range(first, found + 1) if watched.cuts[n] == (first, cut))

    @staticmethod
    def matches(query, state, status, body, source):
        expected_status, text, has_next = query.expected(state)
        if status != expected_status or status != 200:
            return status == expected_status
        if has_next is None:
            end = "}"
        else:
            end = ',"next":null}'
            if has_next:
                at = body.rfind(',"next":"')
                end = body[at:] if at >= 0 else end
        if body == text + end:
            return True
        # A page of PostgreSQL's need not know how many there are.
        return query.total and source not in ("memory", "redis") and body == text.replace(',"total":%d' % len(state.of(query.facet).rows), "") + end

    def evidence(self, read, answer, status, body, floor, ceiling, source):
        watched = read.watched
        known = {n: watched.states[n] for n in range(max(0, floor - 5), watched.last + 1) if n in watched.states}
        right_for = [n for n in known if self.matches(read.query, known[n], status, body, source)]
        asked = f", asked with {read.condition}, got {answer.field(b'ETag')} of {answer.field(b'Last-Modified')}" if read.copy else ""
        lines = [f"{read.query.path} on server {read.server}: {answer.status}, {answer.field(b'Ladder-Cache')} from {source!r}{asked}",
                 f"allowed are states {floor} to {ceiling} (acknowledged {read.acknowledged}); known up to {watched.last}; "
                 f"it is right for {right_for or 'none of ' + str(list(known))}", "sent:     " + body[:1500]]
        lines.append(f"asked with a token: {read.has_token}; at {read.sent_at:.6f}, answered by {time.time():.6f}; cuts: "
                     + ", ".join(f"{n}: {watched.cuts[n][1]}" for n in known if n in watched.cuts))
        lines += [f"written: {note}" for note in watched.notes]
        lines += [f"state {n}: " + str(read.query.expected(known[n])[1:])[:1500] for n in list(known)[-3:]]
        return "\n".join(lines)

    # ---- writing ----

    def submission(self, watched):
        random = self.random
        low, high = watched.scores
        state = watched.states[watched.last]
        player = random.choice(watched.players)
        if len(state.rows) > 10 and random.random() < 0.6:  # below the pages at the top
            player = state.rows[random.randrange(len(state.rows) // 2, len(state.rows))][3]
        score = random.randint(low, high)
        if watched.board.operator == "sum":
            score = random.choice((model.MAX, model.MIN, model.MAX // 2, 1 << 53)) if random.random() < 0.03 else random.randint(-3, 3)
        elif random.random() < 0.02:
            score = random.choice((model.MIN, model.MIN + 1, model.MAX, model.MAX - 1, (1 << 53) + 1, 1 << 53))
        elif random.random() < 0.5 and player in state.entries:
            score = max(low, min(high, state.entries[player].score + random.randint(-2, 2)))
        elif random.random() < 0.1:  # at the very end
            score = low if watched.board.order == "desc" else high
        wanted = {"player": player, "score": score}
        if random.random() < 0.2:
            wanted["subscore"] = random.randint(-1, 1)
        if random.random() < 0.2:
            self.serial += 1
            wanted["metadata"] = {"n": self.serial}
        if watched.board.facets and random.random() < 0.4:
            name = random.choice(tuple(watched.board.facets))
            wanted["facets"] = {name: random.choice(watched.board.facets[name] + (None,))}
        if random.random() < 0.3 and not watched.board.rolls:
            # Two at the same instant: the id decides.
            if not self.clock or random.random() < 0.5:
                self.clock = time.time_ns() // 1000 - 1000000
            wanted["at"] = model.time_text(self.clock)
        return wanted

    def write(self, connection, free):
        random = self.random
        watched = random.choice(free)
        state = watched.states[watched.last]
        chance = random.random()
        if self.races and not watched.board.rolls and random.random() < self.races:
            self.race(connection, watched)
        elif chance < 0.12 and state.rows and not watched.board.rolls:
            self.remove(connection, watched, random.choice(watched.players))
        elif chance < 0.75:
            self.submit(connection, watched, self.submission(watched))
        else:
            chosen = random.sample(free, min(len(free), random.choice((1, 1, 2, 3))))
            items = [(w, self.submission(w)) for w in chosen for _ in range(random.choice((1, 2, 5, 15)))]
            random.shuffle(items)
            self.submit_many(connection, items)

    def post(self, connection, path, body, done, method="POST"):
        data = model.text_of(body).encode() if body is not None else b""
        text = f"{method} /v1/games/{self.game}{path}{self.head}Content-Length: {len(data)}\r\n"
        if data:
            text += "Content-Type: application/json\r\n"
        connection.send([((text + "\r\n").encode() + data, done)])

    def submit(self, connection, watched, wanted):
        watched.begun = watched.last + 1

        def done(answer):
            result = self.result_of(answer, 422 if self.overflows(watched, wanted) else 200)
            if answer.status == 422:
                self.refused(watched, wanted, result)
            else:
                self.took(watched, wanted, result, True)
            self.acknowledge(watched, connection.server, result.get("token"))
        self.post(connection, f"/boards/{watched.board.name}/scores", wanted, done)

    def submit_many(self, connection, items):
        for watched, _ in items:
            watched.begun += 1

        def done(answer):
            result = self.result_of(answer)
            for (watched, wanted), one in zip(items, result["results"]):
                if one["status"] != (422 if self.overflows(watched, wanted) else 200):
                    raise Violation(f"{wanted}: {one}")
                if one["status"] == 422:
                    self.refused(watched, wanted, one["problem"])
                else:
                    self.took(watched, wanted, one, False)
            for watched in {w.board.name: w for w, _ in items}.values():
                self.acknowledge(watched, connection.server, result.get("token"))  # none where all were refused
        self.post(connection, "/scores", {"scores": [dict(wanted, board=w.board.name) for w, wanted in items]}, done)

    def remove(self, connection, watched, player):
        watched.begun = watched.last + 1

        def done(answer):
            result = self.result_of(answer)
            state, old = watched.board.remove(watched.states[watched.last], player)
            if result["removed"] != (old is not None):
                raise Violation(f"{watched.board.name}: removing {player}: {result}, the model has {old and old.key}")
            watched.push(state)
            self.acknowledge(watched, connection.server, result["token"])
        self.post(connection, f"/boards/{watched.board.name}/players/{model.urllib.parse.quote(player)}", None, done, "DELETE")

    def result_of(self, answer, *statuses):
        self.counts["operations"] += 1
        self.counts["writes"] += 1
        if answer.status not in (statuses or (200,)):
            raise Violation(f"a write was answered {answer.status}: {answer.body.decode()}")
        return json.loads(answer.body)

    # ---- several at once ----

    def race(self, connection, watched):
        """Two to four writes on one to three players, each on a connection of its own, most to different servers."""
        random, board, state = self.random, watched.board, watched.states[watched.last]
        count = random.choice((2, 2, 3, 4))
        known = [row[3] for row in state.rows[:40]]
        players = random.sample(watched.players, min(len(watched.players), random.choice((1, 1, 1, 2, 3))))
        if known and random.random() < 0.7:
            players[0] = random.choice(known)
        players = list(dict.fromkeys(players))
        # What comes first is told by what each finds: so it must differ.
        pairs = {player: {(e.score, e.subscore)} if (e := state.entries.get(player)) else set() for player in players}
        sign, at = random.choice((-1, 1)), model.time_text(time.time_ns() // 1000 - 1000000)
        low, high = watched.scores
        tie = random.randint(low, high), random.choice((0, 0, random.choice((model.MIN, -1, 1, model.MAX))))
        wants = []
        for i in range(count):
            player = players[i % len(players)] if i < len(players) else random.choice(players)
            if random.random() < 0.1 and board.operator != "sum" and player in state.entries and (player, None) not in wants:
                wants.append((player, None))
                continue
            if board.operator == "sum":
                huge = random.random() < 0.15
                score, subscore = sign * (random.choice((model.MAX // 2, model.MAX)) if huge else random.randint(1, 5)), random.choice((0, 0, -1, 1))
            else:
                near = state.entries[player].score if player in state.entries and random.random() < 0.5 else random.randint(low, high)
                score, subscore = tie if random.random() < 0.5 else (max(model.MIN, min(model.MAX, near + random.randint(-2, 2))), random.randint(-1, 1))
                while (score, subscore) in pairs[player]:
                    score = score + 1 if score < model.MAX else random.randint(low, high)
                pairs[player].add((score, subscore))
            wanted = {"player": player, "score": score, "subscore": subscore}
            if random.random() < 0.3:
                self.serial += 1
                wanted["metadata"] = {"n": self.serial}
            if random.random() < 0.4:  # several reach the same at the same instant
                wanted["at"] = at
            wants.append((player, wanted))
        others = [c for c in self.connections if c is not connection]
        random.shuffle(others)
        others.sort(key=lambda c: (bool(c.waiting), c.server == connection.server and random.random() < 0.7))
        race = watched.race = Race(watched, wants)
        watched.begun = watched.last + race.size - 1
        for i, (its, (player, wanted)) in enumerate(zip([connection, *others], wants)):
            done = self.racer(watched, race, i, its.server)
            if wanted is None:
                self.post(its, f"/boards/{board.name}/players/{model.urllib.parse.quote(player)}", None, done, "DELETE")
            else:
                self.post(its, f"/boards/{board.name}/scores", wanted, done)

    def racer(self, watched, race, i, server):
        def done(answer):
            result = self.result_of(answer, 200, 422)
            race.answers[i] = answer.status, result
            if answer.status == 200:
                race.done[server].add(i)
                race.tokens.append((i, result["token"]))
            if all(race.answers):
                self.race_end(watched, race)
        return done

    def race_end(self, watched, race):
        board, base = watched.board, watched.states[watched.last]
        chains = {player: self.chain_of(board, base, race, player) for player in race.players}
        race.places = {i: place for order, _ in chains.values() for place, i in enumerate(order, 1)}
        self.counts["raced"] += len(race.wants)
        self.counts["raced on a player"] += sum(len(its) for its in race.of.values() if len(its) > 1)
        self.counts["overflown"] += sum(status == 422 for status, _ in race.answers)
        for cut in itertools.product(*(range(len(its) + 1) for its in race.of.values())):
            if not any(cut):
                continue
            state = base
            for player, far in zip(race.players, cut):
                its = chains[player][1][far]
                if its.entries.get(player) is not state.entries.get(player):
                    state = board.replaced(state, player, state.entries.get(player), its.entries.get(player))
                if its.values.get(player) != state.values.get(player):
                    values = {p: v for p, v in state.values.items() if p != player} | its.values
                    state = model.State(state.rows, state.entries, values)
            watched.push(state)
            watched.cuts[watched.last] = race.base + 1, cut
        numbers = {watched.cuts[n][1]: n for n in range(race.base + 1, watched.last + 1)}
        for server, writes in race.done.items():
            watched.acknowledged[server] = numbers[race.cut_of(writes)]
        watched.notes += [(watched.last, [server for server in race.done if i in race.done[server]], is_applied(token), race.wants[i],
                           numbers[race.cut_of({i})], f"{time.time():.6f}") for i, token in race.tokens]
        watched.tokens.extend((numbers[race.cut_of({i})], token) for i, token in race.tokens)
        watched.race = None
        if not all(is_applied(token) for _, token in race.tokens):
            self.unsettle(watched, race.base, race.players)
        self.decide(watched)

    def chain_of(self, board, base, race, player):
        """In which order did a player's writes at once come? -> the order, and his states."""
        its = race.of[player]
        start = model.State([], {}, {player: base.values[player]} if player in base.values else {})
        if player in base.entries:
            start = board.replaced(start, player, None, base.entries[player])
        for order in itertools.permutations(its):
            states = [start]
            for i in order:
                following = self.follows(board, states[-1], player, race.wants[i][1], *race.answers[i])
                if following is None:
                    break
                states.append(following)
            else:
                return order, states
        had = base.entries.get(player)
        raise Violation(f"{board.name} {board.order} {board.operator} {board.tie}: {player} had {had and (had.score, had.subscore, had.at)}, and in no "
                        f"order these were answered: " + "; ".join(f"{race.wants[i][1]} -> {race.answers[i]}" for i in its))

    @staticmethod
    def follows(board, state, player, wanted, status, result):
        """The state after a write, if the answer is right for it; else None."""
        if wanted is None:
            after, old = board.remove(state, player)
            return after if status == 200 and result["removed"] == (old is not None) else None
        subscore = wanted.get("subscore", 0)
        if board.overflows(state, player, wanted["score"], subscore):
            return state if status == 422 and result["type"].endswith(":score-overflow") else None
        if status != 200:
            return None
        entry, metadata = result["entry"], wanted.get("metadata")
        at = model.time_us(entry["achieved_at"])
        after, old, new = board.submit(state, player, wanted["score"], subscore, at, None if metadata is None else model.text_of(metadata))
        told = (entry["score"], entry["subscore"], entry["metadata"] and model.text_of(entry["metadata"]), result["improved"], at,
                result["previous"] and (result["previous"]["score"], result["previous"]["subscore"]))
        right = new.score, new.subscore, new.metadata, new is not old, new.at, old and (old.score, old.subscore)
        return after if told == right else None

    # ---- what a write did ----

    @staticmethod
    def overflows(watched, wanted):
        return watched.board.overflows(watched.states[watched.last], wanted["player"], wanted["score"], wanted.get("subscore", 0))

    def refused(self, watched, wanted, problem):
        """A sum would leave its 64 bits: nothing changes."""
        if not problem["type"].endswith(":score-overflow"):
            raise Violation(f"{wanted}: {problem}")
        self.counts["overflown"] += 1
        watched.push(watched.states[watched.last])

    def took(self, watched, wanted, result, has_ranks):
        """One submission was answered: the next state, and is the answer what the model says?"""
        board, before = watched.board, watched.states[watched.last]
        entry = result["entry"]
        metadata = wanted.get("metadata")
        at = model.time_us(entry["achieved_at"])
        period = self.rolls.at(at) if board.rolls else None
        if period != watched.periods.get(watched.last):
            before = EMPTY  # a new one
        after, old, new = board.submit(before, wanted["player"], wanted["score"], wanted.get("subscore", 0), at,
                                       None if metadata is None else model.text_of(metadata), wanted.get("facets"))
        watched.push(after, period)
        told = (entry["score"], entry["subscore"], entry["metadata"] and model.text_of(entry["metadata"]), result["improved"])
        right = (new.score, new.subscore, new.metadata, new is not old)
        told_old = result["previous"] and (result["previous"]["score"], result["previous"]["subscore"])
        if has_ranks:
            told += (entry["rank"],)
            right += (after.index(new) + 1,)
            told += (result.get("facets"),)
            right += (self.facets_of(board, after, new),)
            told_old = told_old and told_old + (result["previous"]["rank"],)
        right_old = old and (old.score, old.subscore) + ((before.index(old) + 1,) if has_ranks else ())
        if told != right or told_old != right_old or at != new.at or ("at" in wanted and new is not old and old is None
                                                                     and entry["achieved_at"] != wanted["at"]):
            raise Violation(f"{board.name} {board.order} {board.operator}: {wanted} was answered {result}, right is {right}, before {right_old}")

    @staticmethod
    def facets_of(board, state, entry):
        """What an answer says of the player's facets."""
        values = state.values.get(entry.player, {})
        return {name: values.get(name) and {"value": values[name], "rank": state.of(f"{name}:{values[name]}").index(entry) + 1}
                for name in board.facets} if board.facets else None

    def settle(self, watched, first, token):
        """
        A change that the server could not bring to Redis is brought by the worker; a later one of another server may be
        there before it. So that what Redis holds is always one of the states, the next waits until this one is seen there.
        """
        if token is None or not self.is_disturbed or is_applied(token):
            return
        self.unsettle(watched, first)

    def unsettle(self, watched, first, raced=()):
        """raced: players of writes at once, each of which may be brought apart."""
        if not self.is_disturbed:
            return
        facets = [f"{name}:{value}" for name, values in watched.board.facets.items() for value in values]
        for facet in [None, *facets]:
            old, new = watched.states[first].of(facet).entries, watched.states[watched.last].of(facet).entries
            changed = [player for player in old.keys() | new.keys() if old.get(player) is not new.get(player)]
            questions = [model.Player(watched.board, player, facet=facet) for player in (changed if raced else changed[:1])]
            watched.unsettled += questions
            watched.raced = watched.raced[-20:] + (questions if raced else [])

    def acknowledge(self, watched, server, token):
        """token: None where nothing was written."""
        watched.notes.append((watched.last, server, token and is_applied(token), f"{time.time():.6f}"))
        self.settle(watched, max(watched.acknowledged), token)
        if token is not None:
            watched.acknowledged[server] = watched.last
            watched.history[server].append((time.time(), watched.last))
            while len(watched.history[server]) > STATES_KEPT:
                watched.history[server].popleft()
            watched.tokens.append((watched.last, token))
        self.decide(watched)

    def decide(self, watched):
        """Answers that waited for what a write did."""
        if watched.begun != watched.last:
            raise Violation(f"{watched.board.name}: {watched.begun} states were begun, {watched.last} made")
        undecided, watched.undecided = watched.undecided, []
        for read, writes, query, status, body, floor, ceiling, source, periods, evidence, server_seen in undecided:
            found = self.find(watched, query, status, body, read.floored(floor, writes), min(ceiling, watched.last), source, periods)
            if found is None:
                raise Violation(evidence())
            if server_seen is not None:
                watched.seen[server_seen] = watched.join(watched.seen[server_seen], found)
