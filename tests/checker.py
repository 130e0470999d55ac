"""Random clients against real servers, every answer held to the model.

Each board is written by one request at a time, so its history is a sequence of states. A read that was answered must be
exactly what the model gives for one state between two bounds:

    floor     the newest of: acknowledged by the same server before the read was sent; covered by the token that the read
              shows; seen before in an answer of the same server (no client goes back in time)
    ceiling   the newest change that had been sent when the answer came

Where the board has a max_staleness_ms, an answer that says that it is stale may be of a state that was the newest so long before.
Where its period ends, the answer says which one it is of: one that was current while the read was under way.

One process has one event loop, many connections to every server, and boards of its own: so before and after are certain.
"""
import base64
import collections
import ctypes
import ctypes.util
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
        self.copies = {}                # path -> (etag, modified, body), some client's
        self.history = [collections.deque([(0, 0)]) for _ in range(servers)]  # (when, the newest acknowledged by then)
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

    def acknowledged_before(self, server, when):
        """The newest state that this server had acknowledged by then."""
        return next((number for at, number in reversed(self.history[server]) if at <= when), 0)


class Read:
    __slots__ = ("watched", "server", "query", "floor", "acknowledged", "copy", "condition", "sent_at", "has_token")

    def __init__(self, watched, server, query, has_token):
        self.watched, self.server, self.query, self.copy, self.has_token = watched, server, query, None, has_token
        self.sent_at = time.time()
        self.acknowledged = max(watched.acknowledged[server], watched.tokens[-1][0] if has_token else 0)
        self.floor = max(self.acknowledged, watched.seen[server, query.facet])


class Checker:
    def __init__(self, ports, game, key, seed, prefix, rolls, connections=6, writes=0.08, rankings=model.RANKINGS, facets=model.FACETS):
        self.random = random_module.Random(seed)
        self.selector = selectors.DefaultSelector()
        self.game, self.ports, self.writes = game, ports, writes
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
        token = watched.tokens[-1][1]
        read = Read(watched, server, query, has_token and token)
        text = f"GET /v1/games/{self.game}{query.path}{self.head}"
        if has_token and token:
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
        if answer.field(b"Ladder-Cache") == "stale":
            if not watched.board.max_staleness_ms or read.has_token:
                raise Violation(f"{query.path} was answered with what is stale; asked with a token: {bool(read.has_token)}")
            is_redis = False
            floor = watched.acknowledged_before(read.server, read.sent_at - watched.board.max_staleness_ms / 1000)
        ceiling = watched.begun
        periods = self.periods_of(read, body)
        if periods:
            body = PERIOD.sub('"window":"all","period":"all"', body, count=1)
        found = self.find(watched, query, status, body, floor, min(ceiling, watched.last), source, periods)
        if found is None:
            evidence = lambda: self.evidence(read, answer, status, body, floor, ceiling, source)  # noqa: E731
            if ceiling == watched.last:
                raise Violation(evidence())
            watched.undecided.append((query, status, body, floor, ceiling, source, periods, evidence,
                                      (read.server, query.facet) if is_redis else None))
        elif is_redis and found > watched.seen[read.server, query.facet]:
            watched.seen[read.server, query.facet] = found
        if watched.unsettled and periods and periods[0] > (watched.periods[watched.last] or 0):
            watched.unsettled.clear()  # nobody asks for that one any more
        if query in watched.unsettled and source == "redis" and watched.begun == watched.last and found == watched.last:
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
        """The oldest allowed state of which this is the answer; None: there is none."""
        for number in range(floor, ceiling + 1):
            for period in periods or (None,):
                state = watched.view(number, period)
                if state is None:
                    raise Violation(f"{watched.board.name}: {STATES_KEPT} states are not enough")
                if self.matches(query, state, status, body, source):
                    return number
        return None

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
            score = random.randint(-3, 3)
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
        random, server = self.random, connection.server
        watched = random.choice(free)
        state = watched.states[watched.last]
        chance = random.random()
        if chance < 0.12 and state.rows and not watched.board.rolls:
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
            result = self.result_of(answer)
            self.took(watched, wanted, result, True)
            self.acknowledge(watched, connection.server, result["token"])
        self.post(connection, f"/boards/{watched.board.name}/scores", wanted, done)

    def submit_many(self, connection, items):
        for watched, _ in items:
            watched.begun += 1

        def done(answer):
            result = self.result_of(answer)
            for (watched, wanted), one in zip(items, result["results"]):
                if one["status"] != 200:
                    raise Violation(f"{wanted}: {one}")
                self.took(watched, wanted, one, False)
            for watched in {w.board.name: w for w, _ in items}.values():
                self.acknowledge(watched, connection.server, result["token"])
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

    def result_of(self, answer):
        self.counts["operations"] += 1
        self.counts["writes"] += 1
        if answer.status != 200:
            raise Violation(f"a write was answered {answer.status}: {answer.body.decode()}")
        return json.loads(answer.body)

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
        if not self.is_disturbed or is_applied(token):
            return
        facets = [f"{name}:{value}" for name, values in watched.board.facets.items() for value in values]
        for facet in [None, *facets]:
            old, new = watched.states[first].of(facet).entries, watched.states[watched.last].of(facet).entries
            changed = [player for player in old.keys() | new.keys() if old.get(player) is not new.get(player)]
            if changed:
                watched.unsettled.append(model.Player(watched.board, changed[0], facet=facet))

    def acknowledge(self, watched, server, token):
        self.settle(watched, max(watched.acknowledged), token)
        watched.acknowledged[server] = watched.last
        watched.history[server].append((time.time(), watched.last))
        while len(watched.history[server]) > STATES_KEPT:
            watched.history[server].popleft()
        watched.tokens.append((watched.last, token))
        if watched.begun != watched.last:
            raise Violation(f"{watched.board.name}: {watched.begun} states were begun, {watched.last} made")
        undecided, watched.undecided = watched.undecided, []
        for query, status, body, floor, ceiling, source, periods, evidence, server_seen in undecided:
            found = self.find(watched, query, status, body, floor, min(ceiling, watched.last), source, periods)
            if found is None:
                raise Violation(evidence())
            if server_seen is not None and found > watched.seen[server_seen]:
                watched.seen[server_seen] = found
