"""Periods: where they begin and end, in every time zone, and who is in which.

The oracle is Python's zoneinfo, minute by minute: it shares no arithmetic with the SQL.
"""
import datetime
import zoneinfo

import pytest

from checks import refused
from harness import Client, wait_until

UTC = datetime.timezone.utc
MINUTE = datetime.timedelta(minutes=1)


def at(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def text(instant):
    return instant.isoformat().replace("+00:00", "Z")


def label(window, zone, instant):
    """What the clock shows, down to the window; a local hour that comes twice is two."""
    local = instant.astimezone(zone)
    day = local.date()
    return {"daily": day, "weekly": day - datetime.timedelta(days=day.weekday()), "monthly": day.replace(day=1),
            "hourly": (local.replace(minute=0, second=0, microsecond=0, tzinfo=None), local.utcoffset())}[window]


def starts(window, zone, first, last):
    """Every minute in (first, last] at which a period begins: the last one at which the clock comes to a later date, or, for
    hours, any at which it shows another hour."""
    found, instant, before = [], first + MINUTE, label(window, zone, first)
    while instant <= last:
        now = label(window, zone, instant)
        if window == "hourly" and now != before:
            found.append(instant)
        if window != "hourly":
            if now > before:
                found.append(instant)
            elif now < before:
                found.pop()  # back over midnight: that date had not begun for good
        before, instant = now, instant + MINUTE
    # Offsets of long ago have seconds: which one in the minute before it is the first that shows the same?
    seconds = [[m - datetime.timedelta(seconds=s) for s in range(60)] for m in found]
    return [min(s for s in minute if label(window, zone, s) == label(window, zone, minute[0])) for minute in seconds]


def close(stack, client, board, period):
    """As if it had been made in its time: periods that an import makes afterwards stay open for a while."""
    stack.sql("update ladder.period p set created_at = p.starts_at from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.starts_at > '-infinity'", client.game)

    def is_closed():
        stack.roll()
        periods = client.read(f"/boards/{board}/periods", window="daily")["periods"]
        return [p["state"] for p in periods if p["id"] == period] == ["closed"]
    wait_until(is_closed, 10, "the period is closed")


# What is odd in each: (zone, window, from, to).
ODD = [
    ("Europe/Paris", "daily", "2026-03-27T00:00Z", "2026-03-31T00:00Z"),          # a day of 23 hours
    ("Europe/Paris", "hourly", "2026-10-24T23:30Z", "2026-10-25T03:30Z"),         # an hour that comes twice
    ("Europe/Paris", "weekly", "2026-03-10T00:00Z", "2026-04-08T00:00Z"),         # Mondays
    ("Europe/Paris", "monthly", "2026-02-10T00:00Z", "2026-05-02T00:00Z"),
    ("America/Sao_Paulo", "daily", "2018-11-02T00:00Z", "2018-11-06T00:00Z"),     # a day without midnight
    ("America/Sao_Paulo", "daily", "2018-02-16T00:00Z", "2018-02-20T00:00Z"),     # back at midnight to the day before
    ("America/Havana", "daily", "2025-10-31T12:00Z", "2025-11-04T12:00Z"),        # midnight comes twice
    ("Atlantic/Azores", "daily", "2025-10-24T12:00Z", "2025-10-28T12:00Z"),       # midnight comes twice
    ("America/St_Johns", "daily", "2006-10-27T12:00Z", "2006-10-31T12:00Z"),      # 00:01 back to 23:01 of the day before
    ("Australia/Lord_Howe", "hourly", "2025-04-05T13:30Z", "2025-04-05T17:30Z"),  # half an hour back
    ("Australia/Lord_Howe", "hourly", "2025-10-04T13:30Z", "2025-10-04T17:30Z"),  # half an hour ahead
    ("Australia/Lord_Howe", "daily", "2025-04-04T00:00Z", "2025-04-07T00:00Z"),
    ("Pacific/Apia", "daily", "2011-12-28T12:00Z", "2012-01-02T12:00Z"),          # the 30th never was
    ("Asia/Kathmandu", "daily", "1985-12-30T00:00Z", "1986-01-03T00:00Z"),        # +5:30 to +5:45
    ("Asia/Kathmandu", "hourly", "2026-01-01T00:05Z", "2026-01-01T06:00Z"),       # hours at a quarter past in UTC
    ("Asia/Beirut", "monthly", "2022-09-20T00:00Z", "2022-12-02T00:00Z"),
    ("Asia/Beirut", "daily", "2023-03-24T12:00Z", "2023-04-01T12:00Z"),           # a day without midnight, decided the week before
    ("America/Santiago", "daily", "2022-09-09T12:00Z", "2022-09-13T12:00Z"),      # without midnight
    ("America/Santiago", "daily", "2023-03-31T12:00Z", "2023-04-04T12:00Z"),      # midnight back to 23:00
    ("America/Asuncion", "daily", "2023-09-29T12:00Z", "2023-10-03T12:00Z"),
    ("Antarctica/Troll", "daily", "2026-03-27T12:00Z", "2026-03-31T12:00Z"),      # two hours ahead at once
    ("Antarctica/Troll", "hourly", "2026-10-24T22:00Z", "2026-10-25T04:00Z"),     # two hours come twice
    ("Africa/Casablanca", "daily", "2026-02-13T12:00Z", "2026-02-17T12:00Z"),     # Ramadan: an hour back
    ("Africa/Casablanca", "weekly", "2026-01-30T00:00Z", "2026-04-05T00:00Z"),
    ("Africa/El_Aaiun", "hourly", "2026-03-21T23:00Z", "2026-03-22T05:00Z"),
    ("Pacific/Kiritimati", "daily", "1994-12-29T00:00Z", "1995-01-03T12:00Z"),    # a day left out at the date line
    ("Pacific/Kwajalein", "daily", "1993-08-18T00:00Z", "1993-08-24T00:00Z"),     # likewise
    ("Asia/Manila", "daily", "1844-12-29T00:00Z", "1845-01-03T00:00Z"),           # likewise, by local mean time: seconds in the offset
    ("America/Juneau", "daily", "1867-10-16T00:00Z", "1867-10-21T00:00Z"),        # a day twice
    ("Europe/Amsterdam", "daily", "1937-06-29T00:00Z", "1937-07-03T00:00Z"),      # 28 seconds
    ("Africa/Monrovia", "hourly", "1972-01-06T20:00Z", "1972-01-07T04:00Z"),      # 44 and a half minutes
    ("Asia/Pyongyang", "hourly", "2018-05-04T12:00Z", "2018-05-04T18:00Z"),       # half an hour, at half past
]


@pytest.mark.parametrize("zone, window, first, last", ODD, ids=[f"{z} {w} {f[:10]}" for z, w, f, _ in ODD])
def test_where_periods_begin(stack, zone, window, first, last):
    first, last = at(first), at(last)
    step = MINUTE * (1 if window in ("hourly", "daily") else 60)
    instants = [first + i * step for i in range(int((last - first) / step))]
    wanted = starts(window, zoneinfo.ZoneInfo(zone), first - datetime.timedelta(days=32 if window == "monthly" else 8), last)
    rows = stack.sql("select i.at, b.starts_at, b.ends_at from unnest(%s::timestamptz[]) as i (at), "
                     "lateral ladder.period_bounds(%s, %s, i.at) b", instants, window, zone)
    got = sorted({row[1] for row in rows if row[1] > first})
    assert [text(x.astimezone(UTC)) for x in got] == [text(x) for x in wanted if first < x < last]
    for instant, start, end in rows:
        assert start <= instant < end
    ends = {row[1]: row[2] for row in rows}
    assert all(ends[a] == b for a, b in zip(sorted(ends), sorted(ends)[1:])), "they tile time"


def test_periods_tile_time_in_every_zone(stack):
    """Around each change of each zone's clock, 1970 to 2037: an instant is in its period, which ends where the next begins."""
    loose = stack.sql("""
        with change as (
            select z.name, h.at
            from pg_timezone_names z
            cross join lateral (select at, lag(at at time zone z.name - at at time zone 'UTC') over (order by at) as before,
                                       at at time zone z.name - at at time zone 'UTC' as after
                                from generate_series('1970-01-01'::timestamptz, '2037-12-31', interval '30 days') at) h
            where h.before <> h.after and z.name not like 'posix/%%' and z.name not like 'right/%%'
        ),
        probe as (
            select c.name, w.kind, c.at - random() * interval '30 days' as at
            from change c
            cross join unnest(array['monthly', 'weekly', 'daily', 'hourly']::ladder.window_kind[]) as w (kind)
        )
        select count(*), count(*) filter (where p.at >= b.starts_at and p.at < b.ends_at and n.starts_at = b.ends_at
                                                and o.ends_at = b.starts_at)
        from probe p
        cross join lateral ladder.period_bounds(p.kind, p.name, p.at) b
        cross join lateral ladder.period_bounds(p.kind, p.name, b.ends_at) n
        cross join lateral ladder.period_bounds(p.kind, p.name, b.starts_at - interval '1 microsecond') o""")[0]
    assert loose[0] > 50000 and loose[0] == loose[1]


@pytest.mark.parametrize("zone, window, start, end", [
    ("Europe/Paris", "daily", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
    ("Europe/Paris", "weekly", "2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
    ("Europe/Paris", "monthly", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
    ("UTC", "hourly", "2026-03-29T22:00:00Z", "2026-03-29T23:00:00Z"),
    ("America/Havana", "daily", "2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"),
    ("Atlantic/Azores", "daily", "2025-10-26T00:00:00Z", "2025-10-27T01:00:00Z"),
    ("Pacific/Apia", "daily", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
    ("Australia/Lord_Howe", "hourly", "2025-04-05T15:00:00Z", "2025-04-05T15:30:00Z"),
])
def test_the_first_and_last_instant_of_a_period(client, zone, window, start, end):
    client.put_board("b", windows=[window], time_zone=zone)
    microsecond = datetime.timedelta(microseconds=1)
    for player, instant in (("before", at(start) - microsecond), ("first", at(start)), ("early", at(start) + 999 * microsecond),
                            ("late", at(end) - 1000 * microsecond), ("last", at(end) - microsecond), ("after", at(end))):
        answer = client.submit("b", player, 1, at=text(instant))
        assert at(answer["entry"]["achieved_at"]) == instant
        assert (answer["windows"][window]["period"] == start) == (player not in ("before", "after"))
    page = client.read("/boards/b/top", window=window, period=start)
    assert [e["player"] for e in page["entries"]] == ["first", "early", "late", "last"] and page["period"] == start
    periods = client.read("/boards/b/periods")["periods"]
    assert [(p["starts_at"], p["ends_at"]) for p in periods if p["id"] == start] == [(start, end)]
    # (The worker makes the one of this moment.)
    assert sum(at(p["ends_at"]) < datetime.datetime.now(datetime.timezone.utc) for p in periods) == 3


def test_every_window_of_one_submission(client):
    client.put_board("b", windows=["all", "monthly", "weekly", "daily", "hourly"], operator="sum")
    client.submit("b", "ann", 5, at="2026-05-04T10:00:00Z")           # a Monday
    answer = client.submit("b", "ann", 2, at="2026-05-10T23:59:59.999999Z")  # the Sunday
    assert {w: (v["score"], v["period"]) for w, v in answer["windows"].items()} == {
        "all": (7, "all"), "monthly": (7, "2026-05-01T00:00:00Z"), "weekly": (7, "2026-05-04T00:00:00Z"),
        "daily": (2, "2026-05-10T00:00:00Z"), "hourly": (2, "2026-05-10T23:00:00Z")}
    assert client.submit("b", "ann", 1, at="2026-05-11T00:00:00Z")["windows"]["weekly"]["score"] == 1


def test_current_and_previous(client):
    client.put_board("b", windows=["daily", "all"], time_zone="Asia/Kathmandu")
    today = client.submit("b", "ann", 1)["windows"]["daily"]["period"]
    yesterday = text(at(today) - datetime.timedelta(microseconds=1))
    client.submit("b", "bob", 2, at=yesterday)
    assert [e["player"] for e in client.read("/boards/b/top", period="current")["entries"]] == ["ann"]
    page = client.read("/boards/b/top", period="previous")
    assert [e["player"] for e in page["entries"]] == ["bob"] and page["period"] == text(at(today) - datetime.timedelta(days=1))
    assert client.read("/boards/b/players/bob", period=page["period"])["rank"] == 1
    refused(client.get("/boards/b/players/bob"), "player-not-found", "player")
    refused(client.get("/boards/b/top", window="all", period="previous"), "period-not-found", "period")


@pytest.mark.parametrize("period, slug", [("banana", "invalid-parameter"), ("", None), ("2026-02-30T00:00:00Z", "invalid-parameter"),
                                          ("1999-01-01T00:00:00Z", "period-not-found"), ("2026-01-01T00:00:01Z", "period-not-found")])
def test_periods_that_are_not(client, period, slug):
    client.put_board("b", windows=["daily"])
    client.submit("b", "ann", 1, at="2026-01-01T12:00:00Z")
    answer = client.get("/boards/b/top", period=period)
    if slug:
        refused(answer, slug, "period")
    else:
        assert answer.status_code == 200


def test_the_list_of_periods_by_pages(client):
    client.put_board("b", windows=["daily"])
    days = [f"2026-01-{d:02}T00:00:00Z" for d in range(1, 8)]
    for day in days:
        client.submit("b", "ann", 1, at=day)
    seen, cursor = [], {}
    while True:
        page = client.read("/boards/b/periods", window="daily", limit=3, **cursor)
        seen += [p["id"] for p in page["periods"]]
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    assert [p for p in seen if p < "2026-02"] == days[::-1] and len(seen) == len(set(seen))
    refused(client.get("/boards/b/periods", cursor="banana"), "invalid-cursor", "cursor")
    refused(client.get("/boards/b/periods", window="weekly"), "invalid-parameter", "window")


def test_a_closed_period_is_final(client, stack):
    """`ladder roll` closes what has ended; then it takes nothing more, and removal leaves it."""
    client.put_board("b", windows=["all", "daily"])
    client.submit("b", "ann", 5, at="2026-01-01T12:00:00Z")
    client.submit("b", "bob", 4, at="2026-01-01T13:00:00Z")
    close(stack, client, "b", "2026-01-01T00:00:00Z")
    answer = client.request("POST", "/boards/b/scores", {"player": "cy", "score": 9, "at": "2026-01-01T14:00:00Z", "strict": True})
    refused(answer, "period-closed")
    assert len(client.read("/boards/b/top", window="all")["entries"]) == 2, "refused whole"
    assert client.request("DELETE", "/boards/b/players/bob").json()["standings"] == 1
    page = client.read("/boards/b/top", window="daily", period="2026-01-01T00:00:00Z", ranking="competition", source="true")
    assert [(e["rank"], e["player"]) for e in page["entries"]] == [(1, "ann"), (2, "bob")] and page["source"] != "redis"
    assert client.request("DELETE", "/players/bob").json()["standings"] == 1, "erasing is not removing"
    page = client.read("/boards/b/top", window="daily", period="2026-01-01T00:00:00Z")
    assert [e["player"] for e in page["entries"]] == ["ann"]


def test_at_is_the_admins(client, stack, ladder):
    client.put_board("b")
    writer = Client(ladder, client.game, stack.key(client.game, "write"))
    refused(writer.request("POST", "/boards/b/scores", {"player": "a", "score": 1, "at": "2020-01-01T00:00:00Z"}), "forbidden", "/at")
    item = writer.request("POST", "/scores", {"scores": [{"board": "b", "player": "a", "score": 1, "at": "2020-01-01T00:00:00Z"},
                                                         {"board": "b", "player": "a", "score": 1}]}).json()["results"]
    assert [r["status"] for r in item] == [403, 200] and item[0]["problem"]["errors"][0]["pointer"] == "/scores/0/at"
    future = text(datetime.datetime.now(UTC) + datetime.timedelta(hours=1))
    refused(client.request("POST", "/boards/b/scores", {"player": "a", "score": 1, "at": future}), "invalid-body", "/at")
    zoned = client.submit("b", "z", 1, at="2020-01-01T02:30:00.25+05:30")
    assert zoned["entry"]["achieved_at"] == "2019-12-31T21:00:00.25Z"
