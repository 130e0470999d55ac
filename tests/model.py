"""The sequential model of a board: its states, one after the other, and what each question must answer in each of them.

Nothing here is taken from the service: a state is a sorted list, an answer is text made from it. It is compared byte by
byte with what the service sends, apart from the cursor, of which only its presence is foreseen.
"""
import bisect
import datetime
import itertools
import json
import math
import urllib.parse

MIN, MAX = -(1 << 63), (1 << 63) - 1
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
FIELDS = {  # parameter -> subscore, achieved_at, metadata, percentile, total
    "": (True, True, False, False, False),
    "score": (False, False, False, False, False),
    "score,total": (False, False, False, False, True),
    "score,percentile": (False, False, False, True, False),
    "subscore,achieved_at,metadata": (True, True, True, False, False),
}


def time_text(us):
    text = (EPOCH + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def time_us(text):
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return round((datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc) - EPOCH) / datetime.timedelta(microseconds=1))


def text_of(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def number(value):
    """A double as the service writes it: the shortest of 15 to 17 digits that reads back the same."""
    return next(text for text in ("%.*g" % (digits, value) for digits in (15, 16, 17)) if float(text) == value)


class Entry:
    """What a player has; never changed. Its row's text, apart from the rank, is made once for each choice of fields."""
    __slots__ = ("key", "player", "score", "subscore", "at", "metadata", "texts")

    def __init__(self, key, player, score, subscore, at, metadata):
        self.key, self.player, self.score, self.subscore, self.at, self.metadata = key, player, score, subscore, at, metadata
        self.texts = {}

    def text(self, subscore, achieved_at, metadata):
        made = self.texts.get((subscore, achieved_at, metadata))
        if made is None:
            made = ',"player":%s,"score":%d' % (text_of(self.player), self.score)
            if subscore:
                made += ',"subscore":%d' % self.subscore
            if achieved_at:
                made += ',"achieved_at":"%s"' % time_text(self.at)
            if metadata:
                made += ',"metadata":' + (self.metadata or "null")
            self.texts[subscore, achieved_at, metadata] = made
        return made


class State:
    """The board after so many changes. rows: (k1, k2, k3, player) in rank order. values: player -> {facet: value}."""
    __slots__ = ("rows", "entries", "values", "ranks", "answers", "facets")

    def __init__(self, rows, entries, values=None):
        self.rows, self.entries, self.values = rows, entries, values or {}
        self.ranks, self.answers, self.facets = {}, {}, {}

    def of(self, facet):
        """The standing of a facet's value, "country:BR"; None: of the whole board."""
        if facet is None:
            return self
        made = self.facets.get(facet)
        if made is None:
            name, value = facet.split(":", 1)
            has = {player for player, values in self.values.items() if values.get(name) == value}
            made = self.facets[facet] = State([row for row in self.rows if row[3] in has], {p: e for p, e in self.entries.items() if p in has})
        return made

    def ranked(self, ranking):
        """The rank of every row."""
        made = self.ranks.get(ranking)
        if made is None:
            made, last, rank = [], None, 0
            for i, row in enumerate(self.rows):
                if row[:2] != last:
                    last, rank = row[:2], rank + 1 if ranking == "dense" else i + 1
                made.append(i + 1 if ranking == "ordinal" else rank)
            self.ranks[ranking] = made
        return made

    def index(self, entry):
        return bisect.bisect_left(self.rows, entry.key + (entry.player,))


class Board:
    """
    facets: the values of each, by name.

    max_staleness_ms, and rolls, are as the service has them; rolls: a window that ends every few seconds. What a period holds is a
    state like any other, and `head` that of a board without: who compares an answer takes its period out first.
    """

    def __init__(self, name, order, operator, tie, facets=None, max_staleness_ms=0, rolls=False):
        self.name, self.order, self.operator, self.tie, self.facets = name, order, operator, tie, facets or {}
        self.max_staleness_ms, self.rolls = max_staleness_ms, rolls
        self.head = '"board":%s,"window":"all","period":"all"' % text_of(name)

    def pair(self, score, subscore):
        return (~score, ~subscore) if self.order == "desc" else (score, subscore)

    def key(self, score, subscore, at):
        return self.pair(score, subscore) + (~at if self.tie == "last" else at,)

    def submit(self, state, player, score, subscore, at, metadata, facets=None):
        """-> the next state (the same one when nothing changes), the entry before and after."""
        values = {**state.values.get(player, {}), **(facets or {})}
        if values != state.values.get(player, {}):
            state = State(state.rows, state.entries, {**state.values, player: values})
        old = state.entries.get(player)
        if old and self.operator == "sum":
            if score == 0 and subscore == 0:
                return state, old, old
            score, subscore = score + old.score, subscore + old.subscore
        if old and self.operator == "best" and self.pair(score, subscore) >= old.key[:2]:
            return state, old, old
        if old and self.operator == "last" and self.pair(score, subscore) == old.key[:2]:
            if metadata == old.metadata:
                return state, old, old
            at = old.at
        entry = Entry(self.key(score, subscore, at), player, score, subscore, at, metadata)
        return self.replaced(state, player, old, entry), old, entry

    def overflows(self, state, player, score, subscore):
        """Would a submission leave the 64 bits of a sum?"""
        old = state.entries.get(player)
        return bool(old) and self.operator == "sum" and not (MIN <= old.score + score <= MAX and MIN <= old.subscore + subscore <= MAX)

    def remove(self, state, player):
        old = state.entries.get(player)
        if player in state.values:
            state = State(state.rows, state.entries, {p: v for p, v in state.values.items() if p != player})
        return (self.replaced(state, player, old, None) if old else state), old

    @staticmethod
    def replaced(state, player, old, new):
        rows, entries = state.rows.copy(), state.entries.copy()
        if old:
            del rows[state.index(old)]
            del entries[player]
        if new:
            bisect.insort(rows, new.key + (player,))
            entries[player] = new
        return State(rows, entries, state.values)


# ---- questions ----

class Query:
    """A path, and what it must answer: (status, text, has it a next page: None where the answer has no such field)."""

    def __init__(self, board, path, ranking="ordinal", fields="", facet=None, **parameters):
        self.board, self.ranking, self.facet = board, ranking, facet
        self.board_head = board.head + (',"facet":%s' % text_of(facet) if facet else "")
        self.fields = fields
        self.subscore, self.achieved_at, self.metadata, self.percentile, self.total = FIELDS[fields]
        words = {k.rstrip("_"): v for k, v in parameters.items() if v is not None}
        if ranking != "ordinal":
            words["ranking"] = ranking
        if fields:
            words["fields"] = fields
        if facet:
            words["facet"] = urllib.parse.quote(facet)
        self.path = f"/boards/{board.name}{path}" + ("?" if words else "") + "&".join(f"{k}={v}" for k, v in words.items())
        self.parameters = parameters

    def expected(self, state):
        known = state.answers.get(self.path)
        if known is None:
            known = state.answers[self.path] = self.answer(state.of(self.facet))
        return known

    def rows(self, state, start, stop):
        ranks, entries = state.ranked(self.ranking), state.entries
        shown = self.subscore, self.achieved_at, self.metadata
        return ",".join('{"rank":%d%s%s}' % (rank, entries[row[3]].text(*shown), self.percentile_text(start + i, len(state.rows)))
                        for i, (rank, row) in enumerate(zip(ranks[start:stop], state.rows[start:stop])))

    def percentile_text(self, at, total):
        if not self.percentile:
            return ""
        return ',"percentile":' + number(100.0 if total <= 1 else 100.0 * (total - at - 1) / (total - 1))

    def head(self, state, has_total=True):
        return "{" + self.board_head + (',"total":%d' % len(state.rows) if self.total and has_total else "")

    def page(self, state, start, stop, has_next=None):
        return 200, self.head(state) + ',"entries":[' + self.rows(state, start, stop) + "]", has_next

    def absent(self):
        return 404, None, None


class Top(Query):
    def __init__(self, board, limit=100, offset=None, **common):
        super().__init__(board, "/top", limit=limit, offset=offset, **common)
        self.limit, self.offset = limit, offset or 0

    def answer(self, state):
        stop = self.offset + self.limit
        has_next = stop < len(state.rows)
        return self.page(state, self.offset, stop, has_next)


class After(Query):
    """The page behind a cursor; from a top or a range."""

    def __init__(self, board, view, cursor, last, pair_max, limit, **common):
        super().__init__(board, view, limit=limit, cursor=cursor, **common)
        self.last, self.limit, self.pair_max = last, limit, pair_max

    def answer(self, state):
        start = bisect.bisect_right(state.rows, self.last)
        end = len(state.rows) if self.pair_max is None else max(start, bisect.bisect_left(state.rows, (self.pair_max + 1, MIN)))
        stop = min(start + self.limit, end)
        return self.page(state, start, stop, stop < end and stop > start)


class Range(After):
    def __init__(self, board, low, high, limit=100, **common):
        first, last = (~high, ~low) if board.order == "desc" else (low, high)
        Query.__init__(self, board, "/range", min=low, max=high, limit=limit, **common)
        self.last, self.limit, self.pair_max = (first, MIN, MIN, ""), limit, last


class Player(Query):
    def __init__(self, board, player, **common):
        super().__init__(board, "/players/" + urllib.parse.quote(player), **common)
        self.player = player
        if "fields" not in common:
            self.metadata = self.percentile = self.total = True

    def answer(self, state):
        entry = state.entries.get(self.player)
        if not entry:
            return self.absent()
        at, total = state.index(entry), len(state.rows)
        text = self.rows(state, at, at + 1)[:-1]
        if self.total:
            text += ',"total":%d' % total
        return 200, text + "," + self.board_head, None


class Around(Query):
    def __init__(self, board, player, above, below, absent=None, **common):
        super().__init__(board, f"/players/{urllib.parse.quote(player)}/around", above=above, below=below, absent=absent, **common)
        self.player, self.above, self.when_absent, self.want = player, above, absent, above + below + 1

    def answer(self, state):
        entry, total = state.entries.get(self.player), len(state.rows)
        if entry:
            start = max(0, min(state.index(entry) - self.above, total - self.want))
        elif self.when_absent == "top":
            start = 0
        elif self.when_absent == "last":
            start = max(0, total - self.want)
        else:
            return self.absent()
        return self.page(state, start, start + self.want)


class Players(Query):
    def __init__(self, board, ids, **common):
        super().__init__(board, "/players", ids=",".join(map(urllib.parse.quote, ids)), **common)
        self.ids = list(dict.fromkeys(ids))

    def answer(self, state):
        found = sorted(state.index(state.entries[p]) for p in self.ids if p in state.entries)
        rows = ",".join('{"position":%d,%s' % (n, self.rows(state, at, at + 1)[1:]) for n, at in enumerate(found, 1))
        missing = text_of([p for p in self.ids if p not in state.entries])
        return 200, self.head(state) + ',"entries":[' + rows + '],"not_found":' + missing, None


class At(Query):
    def __init__(self, board, rank=None, percentile=None, **common):
        super().__init__(board, "/at", rank=rank, percentile=percentile, **common)
        self.rank, self.at_percentile = rank, percentile

    def answer(self, state):
        total = len(state.rows)
        start = self.rank - 1 if self.rank else total - math.ceil(self.at_percentile * (total - 1) / 100.0 - 1e-6) - 1 if total else 0
        row = self.rows(state, start, start + 1) or "null"
        return 200, "{" + self.board_head + ',"entry":' + row + (',"total":%d' % total if self.total else ""), None


class AtScore(Query):
    def __init__(self, board, score, **common):
        super().__init__(board, "/at", score=score, **common)
        self.score = score

    def answer(self, state):
        pair = self.board.pair(self.score, 0)
        before = bisect.bisect_left(state.rows, pair + ((MIN,) if self.board.tie == "last" else (MAX, "\U0010ffff")))
        text = "{" + self.board_head + ',"score":%d,"rank":%d' % (self.score, before + 1)
        return 200, text + (',"total":%d' % len(state.rows) if self.total else ""), None


RANKINGS = ("ordinal",) * 5 + ("competition",) * 4 + ("dense",)


def draw(board, players, scores, random, rankings=RANKINGS):
    """A question at random. scores: low and high of what is usual on this board."""
    ranking = random.choice(rankings)
    common = dict(ranking=ranking, fields=random.choice(tuple(FIELDS)))
    if board.facets and random.random() < 0.6:
        common["facet"] = facet_draw(board, random)
    kind = random.randrange(12)
    low, high = scores
    if kind < 3:
        return Top(board, random.choice((1, 2, 3, 5, 10, 25, 100)), **common)
    if kind == 3:
        return Top(board, random.choice((1, 3, 10, 50)), offset=random.choice((1, 2, 5, 10, 40, len(players) - 1, 500)), **common)
    if kind == 4:
        a, b = sorted((random.randint(low, high), random.randint(low, high)))
        return Range(board, a, b, limit=random.choice((1, 3, 20, 100)), **common)
    if kind < 7:
        if common["fields"] == "":
            del common["fields"]
        return Player(board, random.choice(players), **common)
    if kind < 9:
        return Around(board, random.choice(players), random.choice((0, 1, 2, 5)), random.choice((0, 1, 3, 5)),
                      absent=random.choice((None, None, "top", "last")), **common)
    if kind == 9:
        return Players(board, random.choices(players, k=random.choice((1, 2, 3, 6, 20))), **common)
    if kind == 10:
        if random.random() < 0.5:
            return At(board, rank=random.choice((1, 2, 3, 10, 100)), **common)
        return At(board, percentile=random.choice((0, 10, 50, 90, 99.5, 100)), **common)
    return AtScore(board, random.randint(low - 1, high + 1), fields=common["fields"].replace("percentile", "total"), facet=common.get("facet"))


def facet_draw(board, random):
    name = random.choice(tuple(board.facets))
    return f"{name}:{random.choice(board.facets[name])}"


FACETS = {"country": ("BR", "AR", "ÅX"), "clan": ("red", "1:2")}
BOARDS = 8


def boards(prefix, facets=FACETS):
    """
    Combinations of the rules in turn; every second of the first six has facets; of the last two, one may be answered with what is
    old, and one has periods that end.
    """
    rules = itertools.product(("desc", "asc"), ("last", "best", "sum"), ("first", "last"))
    return [Board(f"{prefix}{i}", *rule, facets=facets if i < 6 and i % 2 else None, max_staleness_ms=150 if i == 6 else 0, rolls=i == 7)
            for i, rule in zip(range(BOARDS), rules)]


class Rolls:
    """Periods one behind the other, `length_us` long, so many; the last is long enough for everything behind."""

    def __init__(self, from_us, length_us, count):
        self.from_us, self.length_us, self.count = from_us, length_us, count

    def start(self, n):
        return self.from_us + n * self.length_us

    def at(self, us):
        """The number of the period that holds an instant."""
        return min((us - self.from_us) // self.length_us, self.count - 1)

    def end(self, n):
        return self.start(n + 1) if n < self.count - 1 else self.start(n) + 86400 * 1000000
