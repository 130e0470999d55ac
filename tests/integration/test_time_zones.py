"""Time zones are names of the tz database, and periods are those that Python's zoneinfo has for them."""
import datetime
import pathlib
import random
import struct
import zoneinfo

import pytest

from checks import refused

UTC = datetime.timezone.utc
SECOND, HOUR, DAY = datetime.timedelta(seconds=1), datetime.timedelta(hours=1), datetime.timedelta(days=1)
NO_PLACES = {"localtime", "posixrules", "Factory"}
WINDOWS = ["monthly", "weekly", "daily", "hourly"]
# The names that PostgreSQL reads as abbreviations.
ABBREVIATIONS = ["CET", "EET", "EST", "HST", "MET", "MST", "WET"]


def names():
    """Every name of the installed tz database, by its files."""
    found = set()
    for root in map(pathlib.Path, zoneinfo.TZPATH):
        for path in root.rglob("*") if root.is_dir() else ():
            name = str(path.relative_to(root))
            if path.is_file() and not name.startswith(("posix/", "right/")) and path.open("rb").read(4) == b"TZif":
                found.add(name)
    return sorted(found - NO_PLACES)


def changes(name):
    """The instants at which the clocks change, as the file has them."""
    path = next(p for p in (pathlib.Path(root, name) for root in zoneinfo.TZPATH) if p.is_file())
    data = path.read_bytes()
    head = struct.Struct(">4sc15x6l")
    _, version, *counts = head.unpack_from(data)
    at, size, code = head.size, 4, "l"
    if version >= b"2":
        isutc, isstd, leap, times, types, chars = counts
        at += times * 5 + types * 6 + chars + leap * 8 + isstd + isutc
        _, _, *counts = head.unpack_from(data, at)
        at, size, code = at + head.size, 8, "q"
    instants = struct.unpack_from(f">{counts[3]}{code}", data, at)
    return [datetime.datetime.fromtimestamp(i, UTC) for i in instants if -5e9 < i < 4e9]


class Clock:
    """What a zone's clocks show; nothing here is shared with the SQL."""

    def __init__(self, name):
        self.zone, self.starts = zoneinfo.ZoneInfo(name), {}

    def offset(self, instant):
        return instant.astimezone(self.zone).utcoffset()

    def local(self, instant):
        return (instant + self.offset(instant)).replace(tzinfo=None)

    def turns(self, first, last, step):
        """The instants in (first, last] at which the offset changes, oldest first."""
        found, low = [], first
        while low < last:
            high = min(low + step, last)
            if self.offset(low) != self.offset(high):
                a, b = low, high
                while b - a > SECOND:
                    middle = a + SECOND * int((b - a) / SECOND / 2)
                    a, b = (middle, b) if self.offset(middle) == self.offset(a) else (a, middle)
                found.append(b)
            low = high
        return found

    def start(self, date):
        """When a date begins: the last instant at which the clocks come to it, or past it, from an earlier date."""
        if date not in self.starts:
            midnight = datetime.datetime.combine(date, datetime.time(0))
            near = midnight.replace(tzinfo=UTC)
            first, last = near - 40 * HOUR, near + 40 * HOUR
            edges = [first, *self.turns(first, last, HOUR / 2), last]
            found = []
            for a, b in zip(edges, edges[1:]):
                if a > first and self.local(a - SECOND / 1000) < midnight <= self.local(a):
                    found.append(a)
                inside = near - self.offset(a)
                if a < inside < b:
                    found.append(inside)
            self.starts[date] = found[-1]
        return self.starts[date]

    def period(self, window, instant):
        local = self.local(instant)
        if window == "hourly":
            start = instant - (local - local.replace(minute=0, second=0, microsecond=0))
            turns = self.turns(start - HOUR, start + 2 * HOUR, HOUR / 4)
            return (max([start, *(t for t in turns if t <= instant)]), min([start + HOUR, *(t for t in turns if t > instant)]))
        date = local.date()
        while True:
            first = {"daily": date, "weekly": date - DAY * date.weekday(), "monthly": date.replace(day=1)}[window]
            following = {"daily": first + DAY, "weekly": first + 7 * DAY, "monthly": (first + 31 * DAY).replace(day=1)}[window]
            if self.start(first) <= instant:
                return self.start(first), self.start(following)
            date = first - DAY  # the clocks will go back to the date before


def instants(name, count=40):
    """Around the changes of its clocks, all over its history and in the years to come."""
    chosen = random.Random(name)
    turns = changes(name) + [datetime.datetime(year, month, 28, 1, tzinfo=UTC) for year in (2026, 2044) for month in (3, 10)]
    return [chosen.choice(turns) + chosen.choice([DAY, HOUR, 3 * SECOND]) * chosen.uniform(-1.5, 1.5) for _ in range(count)]


def bounds(rows):
    return [(w, i.astimezone(UTC), s and s.astimezone(UTC), e and e.astimezone(UTC)) for w, i, s, e in rows]


def ask(sql, name, at):
    return bounds(sql("select w.kind::text, i.at, b.starts_at, b.ends_at from unnest(%s::timestamptz[]) as i (at), "
                      "unnest(%s::ladder.window_kind[]) as w (kind), lateral ladder.period_bounds(w.kind, %s, i.at) b", at, WINDOWS, name))


@pytest.mark.parametrize("part", range(8))
def test_periods_of_every_zone(stack, part):
    wrong, asked = [], 0
    for name in names()[part::8]:
        clock = Clock(name)
        for window, instant, start, end in ask(stack.sql, name, instants(name)):
            asked += 1
            if clock.period(window, instant) != (start, end):
                wrong.append(f"{name} {window} {instant}: {start} to {end}, by zoneinfo {clock.period(window, instant)}")
    assert asked > 1000 and not wrong, f"{len(wrong)} of {asked}:\n" + "\n".join(wrong[:20])


@pytest.mark.parametrize("name", ABBREVIATIONS)
def test_a_replica_and_every_session_compute_the_same(stack, name):
    at = instants(name) + [datetime.datetime(2026, 7, 1, 12, tzinfo=UTC)]
    there = ask(stack.replica_sql, name, at)
    assert there == ask(stack.sql, name, at)
    for window, instant, start, end in there:
        assert Clock(name).period(window, instant) == (start, end)
    # The session's own zone is neither used nor changed.
    assert stack.sql("select set_config('TimeZone', 'Asia/Tokyo', false), ladder.local_time('2026-07-01T12:00Z', %s)::text, current_setting('TimeZone')",
                     name)[0][1:] == (Clock(name).local(datetime.datetime(2026, 7, 1, 12, tzinfo=UTC)).isoformat(" "), "Asia/Tokyo")


def test_central_european_summer(client):
    client.put_board("b", windows=["daily"], time_zone="CET")
    answer = client.submit("b", "ann", 1, at="2026-07-01T22:30:00Z")
    assert answer["windows"]["daily"]["period"] == "2026-07-01T22:00:00Z"
    days = client.read("/boards/b/stats/history", bucket="day", **{"from": "2026-07-01", "to": "2026-07-02"})["history"]
    assert [d["from"] for d in days] == ["2026-07-02"]


def test_every_name_is_taken_and_spelled_as_the_tz_database_does(client):
    chosen = random.Random(4)
    for nth, name in enumerate(names()):
        said = "".join(chosen.choice([c.upper(), c.lower()]) for c in name)
        assert client.put_board(f"b{nth}", time_zone=said)["time_zone"] == name


def test_a_zone_is_the_same_in_another_letter_case(client):
    client.put_board("b", time_zone="europe/PARIS")
    assert client.put_board("b", time_zone="EUROPE/paris")["time_zone"] == "Europe/Paris"
    answer = client.request("PATCH", "/boards/b", {"time_zone": "europe/paris", "public": True})
    assert answer.status_code == 200 and answer.json()["time_zone"] == "Europe/Paris"
    refused(client.request("PATCH", "/boards/b", {"time_zone": "Europe/Rome"}), "conflict", "/time_zone")
    refused(client.request("PUT", "/boards/b", {"time_zone": "Europe/Rome"}), "conflict", "/time_zone")


@pytest.mark.parametrize("said, near", [
    ("Europe/Pari", "Europe/Paris"), ("paris", "Europe/Paris"), ("New York", "America/New_York"), ("Asia/Calcuta", "Asia/Calcutta"),
    ("utc+2", "Etc/GMT+2"), ("America/Sao Paolo", "America/Sao_Paulo"),
    *((said, "") for said in ("+05:30", "-3", "5", "FOO5", "EST5", "AAA0BBB-167,J1/0,J1/1", "<+03>-3", "localtime", "posixrules", "Factory",
                              "right/UTC", "posix/UTC", "posix/Europe/Paris", "Europe/../UTC", "Europe", "Europe/", "/UTC", "UTC ", ":UTC", "é", "\"'; --")),
])
def test_what_is_no_name_is_refused_with_the_nearest(client, said, near):
    answer = refused(client.request("PUT", "/boards/b", {"time_zone": said}), "invalid-body", "/time_zone")
    nearest = answer.json()["detail"].rpartition("the nearest are ")[2].split(", ")
    assert len(nearest) == 3 and set(nearest) <= set(names()) and (not near or near in nearest), answer.text
    assert client.get("/boards/b").status_code == 404


def test_abbreviations_are_refused(stack, client):
    said = {row[0] for row in stack.sql("select abbrev from pg_timezone_abbrevs")} - {n.upper() for n in names()}
    assert {"IST", "PST", "CEST", "MSK", "Z"} <= said
    for abbreviation in said:
        refused(client.request("PUT", "/boards/b", {"time_zone": abbreviation}), "invalid-body", "/time_zone")


# ---- boards of another time ----

BACKWARDS = "AAA0BBB-167,J1/0,J1/1"


def older(stack, client, board, zone, **definition):
    """A board whose zone was taken before there was a check."""
    client.put_board(board, **definition)
    stack.sql("update ladder.board b set time_zone = %s from ladder.game g where g.id = b.game_id and g.name = %s and b.name = %s", zone, client.game, board)


def test_such_a_board_can_be_sent_back(stack, client):
    older(stack, client, "b", "+05:30", windows=["daily"])
    board = client.read("/boards/b")
    assert board["time_zone"] == "+05:30"
    assert client.request("PUT", "/boards/b", {**board, "public": True}).json()["public"]
    assert client.submit("b", "ann", 1)["improved"]


def test_a_zone_without_sense_refuses_its_own_submissions_alone(stack, client):
    client.put_board("good", windows=["daily"])
    for board, zone in (("bad", BACKWARDS), ("gone", "Atlantis/Poseidonis")):
        older(stack, client, board, zone, windows=["daily", "all"])
    rows = [{"board": board, "player": f"p{i}", "score": i, "at": "2025-12-22T00:00:00Z"} for i in range(5) for board in ("bad", "good", "gone")]
    answer = client.request("POST", "/scores", {"scores": rows}).json()["results"]
    assert [r["status"] for r in answer] == [409, 200, 409] * 5
    assert BACKWARDS in answer[0]["problem"]["detail"]
    assert [e["player"] for e in client.read("/boards/good/top", period="2025-12-22T00:00:00Z")["entries"]] == ["p4", "p3", "p2", "p1", "p0"]
    # The worker opens the periods of the others, and closes them.
    stack.roll()
    client.submit("good", "now", 1)
    assert stack.sql("select count(*) from ladder.period p where p.starts_at >= p.ends_at")[0][0] == 0


def test_periods_tile_time_when_the_rules_of_a_zone_change(stack, client):
    """As a board of CET had them before: one hour ahead of UTC in summer too."""
    client.put_board("b", windows=["daily"], time_zone="CET")
    stack.sql("insert into ladder.period (board_id, window_kind, starts_at, ends_at) "
              "select b.id, 'daily', d, d + interval '1 day' from ladder.board b join ladder.game g on g.id = b.game_id, "
              "unnest(array['2026-07-01T23:00Z', '2026-07-05T23:00Z']::timestamptz[]) d where g.name = %s", client.game)
    for at in ("2026-07-01T22:30:00Z", "2026-07-02T22:30:00Z", "2026-07-03T12:00:00Z", "2026-07-04T22:30:00Z", "2026-07-05T22:30:00Z", "2026-07-06T23:30:00Z"):
        client.submit("b", "ann", 1, at=at)
    periods = stack.sql("select p.starts_at, p.ends_at from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                        "where g.name = %s and p.starts_at < '2026-08-01' order by 1", client.game)
    assert [(s.astimezone(UTC).strftime("%dT%H"), e.astimezone(UTC).strftime("%dT%H")) for s, e in periods] == [
        ("01T22", "01T23"), ("01T23", "02T23"), ("02T23", "03T22"), ("04T22", "05T22"), ("05T22", "05T23"), ("05T23", "06T23"), ("06T23", "07T22")]


def test_the_migration_tells_which_boards_are_concerned(database):
    own = database()
    own.migrate("up")
    own.migrate("down", sum(v >= 25 for v in own.versions()), "--allow-down")
    own.sql("insert into ladder.game (name) values ('g')")
    for board, zone in (("paris", "europe/paris"), ("posix", "posix/Asia/Tokyo"), ("rome", "Europe/Rome"), ("central", "cet"), ("eastern", "EET"),
                        ("odd", "+05:30"), ("short", "IST"), ("plain", "UTC")):
        own.sql("insert into ladder.board (game_id, name, time_zone) select id, %s, %s from ladder.game", board, zone)
    own.sql("insert into ladder.board (game_id, name, time_zone, deleted_at) select id, 'gone', 'FOO5', now() from ladder.game")
    said = own.start("up").communicate(timeout=60)[0]
    warned = [line for line in said.splitlines() if "database-warning" in line]
    of = lambda board: [line for line in warned if f"board g/{board}:" in line]  # noqa: E731
    assert len(warned) == 7 and len(of("central")) == 2, said
    for board, words in (("paris", 'spelled \\"Europe/Paris\\" now'), ("posix", 'spelled \\"Asia/Tokyo\\" now'), ("odd", "no name of the tz database"),
                         ("short", "no name of the tz database"), ("central", "no longer by the abbreviation"), ("eastern", "no longer by the abbreviation")):
        assert words in of(board)[-1], (words, of(board))
    assert dict(own.sql("select name, time_zone from ladder.board")) == {
        "paris": "Europe/Paris", "posix": "Asia/Tokyo", "rome": "Europe/Rome", "central": "CET", "eastern": "EET", "odd": "+05:30", "short": "IST",
        "plain": "UTC", "gone": "FOO5"}
