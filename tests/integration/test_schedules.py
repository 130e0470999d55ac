"""Windows by schedule, through the API: definitions, submissions in periods and in pauses, reads, the end of a period, changes."""
import csv
import datetime
import io
import json

import pytest

import cron
from checks import refused
from cron import DAY, MINUTE, UTC
from harness import ROOT, Client, wait_until

WEEKEND = {"name": "weekend", "opens": "0 18 * * 5", "closes": "0 6 * * 1"}


def utc(*words):
    return datetime.datetime(*words, tzinfo=UTC)


def text(instant):
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def weekday(instant):
    return instant.isoweekday() % 7


def days(stack, *shifts):
    """Days of the week as cron has them, so many days from now."""
    (now,), = stack.sql("select now() at time zone 'UTC'")
    return [weekday(now + DAY * shift) for shift in shifts]


def open_now(stack, name="event"):
    """Open since yesterday's midnight in UTC, for two days at least."""
    opens, closes = days(stack, -1, 3)
    return {"name": name, "opens": f"0 0 * * {opens}", "closes": f"0 0 * * {closes}"}


def pause_now(stack, name="event"):
    """Closed since yesterday's midnight in UTC, for two days at least; before that it was open for two."""
    opens, closes = days(stack, 4, -1)
    return {"name": name, "opens": f"0 0 * * {opens}", "closes": f"0 0 * * {closes}"}


def bare(schedule):
    return {key: value for key, value in schedule.items() if key != "next"}


def walked(schedule, zone, now, count=5):
    """The next periods, by the walk over every minute."""
    found = cron.periods(schedule["opens"], schedule["closes"], zone, now - 20 * DAY, now + 60 * DAY)
    return [{"starts_at": text(start), "ends_at": text(end)} for start, end in found if end > now][:count]


def test_a_definition_shows_the_next_five_periods(stack, client):
    windows = [WEEKEND, "all", {"name": "lunch-2", "opens": "30 11 * * mon-fri", "closes": "0 14 * * *"}]
    before, = stack.sql("select now()")[0]
    answer = client.request("PUT", "/boards/b", dict(windows=windows, time_zone="europe/paris"))
    after, = stack.sql("select now()")[0]
    assert answer.status_code == 201
    shown = answer.json()["windows"]
    assert [bare(w) if isinstance(w, dict) else w for w in shown] == windows
    for schedule in shown[0], shown[2]:
        assert schedule["next"] in [walked(schedule, "Europe/Paris", now) for now in (before, after)] and len(schedule["next"]) == 5
    again = client.get("/boards/b")
    assert [w["name"] if isinstance(w, dict) else w for w in again.json()["windows"]] == ["weekend", "all", "lunch-2"]
    assert all(len(w["next"]) == 5 for w in again.json()["windows"] if isinstance(w, dict))
    assert "Last-Modified" not in again.headers, "what comes next changes without a change of the board"
    # What was read can be sent back; a list has the definitions alone.
    assert client.request("PUT", "/boards/b", again.json()).status_code == 200
    assert [b["windows"] for b in client.read("/boards")["boards"]] == [windows]
    patched = client.request("PATCH", "/boards/b", {"public": True})
    assert [bare(w) if isinstance(w, dict) else w for w in patched.json()["windows"]] == windows
    assert all(len(w["next"]) == 5 for w in patched.json()["windows"] if isinstance(w, dict))


def test_conditions_are_of_what_a_get_shows(client):
    client.put_board("b", windows=[{"name": "year", "opens": "0 0 1 1 *", "closes": "0 0 31 12 *"}, "all"])
    tag = client.get("/boards/b").headers["ETag"]
    assert client.get("/boards/b").headers["ETag"] == tag
    assert client.request("GET", "/boards/b", headers={"If-None-Match": tag}).status_code == 304
    pretty = client.get("/boards/b", pretty="").headers["ETag"]
    assert client.request("PATCH", "/boards/b", {"public": True}, headers={"If-Match": tag}).status_code == 200
    refused(client.request("PATCH", "/boards/b", {"public": False}, headers={"If-Match": tag}), "precondition-failed")
    refused(client.request("PATCH", "/boards/b", {"public": False}, headers={"If-Match": pretty}), "precondition-failed")
    pretty = client.get("/boards/b", pretty="").headers["ETag"]
    assert client.request("PUT", "/boards/b", client.read("/boards/b"), headers={"If-Match": pretty}).status_code == 200


def changed(**members):
    return {**WEEKEND, **members}


@pytest.mark.parametrize("windows, field", [
    ([changed(name="all")], "/windows/0/name"), ([changed(name="current")], "/windows/0/name"), ([changed(name="scheduled_1")], "/windows/0/name"),
    ([changed(name="Weekend")], "/windows/0/name"), ([changed(name="x" * 33)], "/windows/0/name"), ([changed(name="")], "/windows/0/name"),
    (["all", WEEKEND, WEEKEND], "/windows/2/name"), ([changed(name=f"s{i}") for i in range(5)], "/windows"),
    (["all", changed(opens="0 18 * *")], "/windows/1/opens"), ([changed(closes="0 6 * * 8")], "/windows/0/closes"),
    ([changed(opens="60 18 * * 5")], "/windows/0/opens"), ([changed(opens="0 18 * * 5;")], "/windows/0/opens"), ([changed(closes="1" * 65)], "/windows/0/closes"),
    ([changed(opens="0 0 30 2 *")], "/windows/0/opens"), ([changed(closes="0 0 31 4,6,9,11 *")], "/windows/0/closes"),
    ([changed(at="5")], "/windows/0/at"), ([{"name": "x", "opens": "* * * * *"}], "/windows/0/closes"), ([changed(opens=5)], "/windows/0/opens"),
    (["scheduled_1"], "/windows"), (["weekend"], "/windows"), ([7], "/windows"), ([], "/windows"), ([["all"]], "/windows"),
])
def test_a_schedule_that_makes_no_sense_is_refused(client, windows, field):
    refused(client.request("PUT", "/boards/b", {"windows": windows}), "invalid-body", field)
    assert client.get("/boards/b").status_code == 404
    client.put_board("b")
    refused(client.request("PATCH", "/boards/b", {"windows": windows}), "invalid-body", field)
    assert client.read("/boards/b")["windows"] == ["all"]


def test_in_which_period_a_submission_counts(client):
    """With `at`: at the edges of a weekend in which the clocks go back, before it and behind it."""
    client.put_board("b", windows=["all", WEEKEND], time_zone="Europe/Paris", operator="sum")
    start, end = utc(2025, 10, 24, 16), utc(2025, 10, 27, 5)  # Friday 18:00 in summer time to Monday 6:00 in winter time
    assert (end - start).total_seconds() == 61 * 3600
    nick = datetime.timedelta(microseconds=1)
    places = [(start - nick, None), (start, start), (start + DAY, start), (end - nick, start), (end, None), (end + 7 * DAY - nick, utc(2025, 10, 31, 17))]
    for nth, (at, period) in enumerate(places):
        answer = client.submit("b", "ann", 1, at=text(at))
        shown = answer["windows"]["weekend"]
        assert answer["windows"]["all"]["score"] == nth + 1
        if period is None:
            assert shown == {"rank": None, "score": None, "subscore": None, "improved": False, "period": None, "closed": True}
        else:
            assert shown["period"] == text(period) and "closed" not in shown
    assert client.read("/boards/b/players/ann", window="weekend", period=text(start))["score"] == 3
    periods = client.read("/boards/b/periods", window="weekend")["periods"]
    assert [(p["starts_at"], p["ends_at"]) for p in periods if p["starts_at"] < "2026"] == [
        ("2025-10-31T17:00:00Z", "2025-11-03T05:00:00Z"), (text(start), text(end))]
    refused(client.get("/boards/b/top", window="weekend", period=text(end)), "period-not-found", "period")  # a pause begins then


def test_a_pause_refuses_who_means_no_other_window(stack, client):
    client.put_board("b", windows=[pause_now(stack), "all"])
    client.put_board("only", windows=[pause_now(stack)])
    answer = client.submit("b", "ann", 5)
    assert answer["windows"]["event"]["closed"] is True and answer["windows"]["all"]["rank"] == 1 and answer["entry"]["score"] == 5
    refused(client.request("POST", "/boards/b/scores", {"player": "bob", "score": 1, "strict": True}), "period-closed", "/at")
    refused(client.request("POST", "/boards/b/scores", {"player": "bob", "score": 1, "windows": ["event"]}), "period-closed", "/at")
    refused(client.request("POST", "/boards/only/scores", {"player": "bob", "score": 1}), "period-closed", "/at")
    assert client.submit("b", "bob", 1, windows=["all"], strict=True)["windows"].keys() == {"all"}
    many = client.submit_many([{"board": "b", "player": "cy", "score": 1}, {"board": "only", "player": "cy", "score": 1},
                               {"board": "b", "player": "dan", "score": 1, "windows": ["event", "all"]}, {"board": "b", "player": "eve", "score": 1, "windows": ["other"]}])
    assert [r["status"] for r in many] == [200, 409, 200, 400]
    assert many[2]["windows"]["event"]["closed"] is True and many[3]["problem"]["errors"][0]["pointer"] == "/windows"
    # Submissions that a key repeats have the same answer, made anew or kept.
    key = {"Idempotency-Key": '"pause"'}
    first = client.submit("b", "fay", 2, headers=key)
    assert client.submit("b", "fay", 2, headers=key) == first


def test_one_batch_around_the_end_of_a_period(client):
    """One request with submissions in two periods and a pause, a few of them in the same quarter of an hour."""
    client.put_board("b", windows=["all", {"name": "odd", "opens": "3 * * * *", "closes": "7,50 * * * *"}], operator="sum")
    rows, wanted = [], {}
    first = utc(2025, 6, 1, 10)
    for minute in range(0, 180):
        at = first + minute * MINUTE
        hour, within = at.replace(minute=0), at.minute
        period = hour + 3 * MINUTE if 3 <= within < 7 else None
        rows.append({"board": "b", "player": "ann", "score": 1, "at": text(at)})
        wanted[period] = wanted.get(period, 0) + 1
    results = client.submit_many(rows)
    got = {}
    for result in results:
        period = result["windows"]["odd"]["period"]
        got[period] = got.get(period, 0) + 1
    assert got == {p and text(p): n for p, n in wanted.items()}
    for period in filter(None, wanted):
        assert client.read("/boards/b/players/ann", window="odd", period=text(period))["score"] == 4


@pytest.mark.parametrize("skips_redis", [False, True])
def test_every_read_of_an_open_period(stack, client, skips_redis):
    other = stack.serve()
    second = Client(other, client.game, client.key)
    if skips_redis:
        stack.redis.flushall()
    client.put_board("b", windows=["all", open_now(stack)], facets=["country"])
    tokens = [client.submit("b", f"p{i:03}", i, facets={"country": "BR" if i % 2 else "AR"})["token"] for i in range(30)]
    for reader in client, second:
        def read(path, **parameters):
            answer = reader.request("GET", f"/boards/b{path}", headers={"Ladder-Token": tokens[-1]}, window="event", **parameters)
            assert answer.status_code == 200, answer.text
            assert answer.json().get("window", "event") == "event"
            return answer.json()
        assert [e["player"] for e in read("/top", limit=3)["entries"]] == ["p029", "p028", "p027"]
        assert read("/top", limit=3) == read("/top", limit=3)
        assert len(reader.pages("b", limit=7, window="event")) == 30
        assert read("/players/p028")["rank"] == 2 and [e["rank"] for e in read("/players/p028/around", above=1, below=1)["entries"]] == [1, 2, 3]
        assert read("/at", rank=5)["entry"]["player"] == "p025" and read("/range", min=3, max=5)["entries"][0]["score"] == 5
        assert read("/stats")["entries"] == 30 and read("/top", facet="country:BR")["entries"][0]["player"] == "p029"
        assert [p["state"] for p in read("/periods")["periods"]] == ["open"]
        place, = reader.read("/players/p000/boards", window="event")["boards"]
        assert (place["window"], place["rank"], place["total"]) == ("event", 30, 30)
        asked = reader.request("POST", "/query", {"queries": ["/boards/b/top?window=event&limit=1", "/boards/b/players/p001?window=event"]}).json()
        assert [r["body"]["window"] for r in asked["results"]] == ["event", "event"]
    cursor = client.read("/boards/b/top", window="event", limit=2)["next"]
    assert "of the window event" in refused(client.get("/boards/b/top", window="all", cursor=cursor), "invalid-cursor", "cursor").json()["detail"]
    refused(client.get("/boards/b/top", window="scheduled_1"), "invalid-parameter", "window")
    refused(client.get("/boards/b/top", window="weekend"), "invalid-parameter", "window")
    # Another score on one server is seen on the other, cached or not.
    token = second.submit("b", "p000", 1000)["token"]
    top = client.request("GET", "/boards/b/top", headers={"Ladder-Token": token}, window="event", limit=1).json()["entries"]
    assert [e["player"] for e in top] == ["p000"]
    described = client.request("PATCH", "/boards/b/players/p000", {"metadata": {"car": 1}}, window="event")
    assert described.status_code == 200 and client.read("/boards/b/players/p000", window="event", fields="metadata")["metadata"] == {"car": 1}
    assert client.read("/boards/b/players/p000", window="all", fields="metadata")["metadata"] is None
    assert client.request("DELETE", "/boards/b/players/p000").status_code == 200
    refused(client.get("/boards/b/players/p000", window="event"), "player-not-found")
    other.stop()


def test_reads_in_a_pause(stack, client):
    schedule = pause_now(stack)
    board = client.put_board("b", windows=[schedule, "all"], facets=["country"])
    coming = board["windows"][0]["next"][0]["starts_at"]
    last = datetime.datetime.fromisoformat(coming.replace("Z", "+00:00")) - 7 * DAY
    client.submit("b", "ann", 5, at=text(last), facets={"country": "BR"})
    for parameters in {}, {"window": "event"}, {"window": "event", "period": "current"}, {"facet": "country:BR"}:
        detail = refused(client.get("/boards/b/top", **parameters), "period-not-found", "period").json()["detail"]
        assert coming in detail, detail
    for path in "/players/ann", "/players/ann/around", "/stats", "/at?rank=1", "/range", "/compare", "/players?ids=ann":
        refused(client.get(f"/boards/b{path}"), "period-not-found")
    assert client.read("/boards/b/top", period="previous")["period"] == text(last)
    assert client.read("/boards/b/players/ann", period="previous", facet="country:BR")["rank"] == 1
    assert client.read("/boards/b/top", period=text(last))["entries"][0]["player"] == "ann"
    assert client.read("/players/ann/boards", window="event")["boards"] == []
    assert client.read("/players/ann/boards")["boards"] == []
    assert [p["id"] for p in client.read("/boards/b/periods")["periods"]] == [text(last)]
    assert client.read("/boards/b/top", window="all")["entries"][0]["player"] == "ann"


def test_a_closed_period_is_named_by_its_schedule(stack, client):
    # On each board the schedule has another place.
    client.put_board("a", windows=[WEEKEND, "daily"])
    client.put_board("b", windows=["all", {"name": "other", "opens": "0 0 * * 2", "closes": "0 0 * * 3"}, WEEKEND])
    for board in "a", "b":
        for player, score in ("ann", 5), ("bob", 7):
            client.submit(board, player, score, at="2026-01-03T12:00:00Z")
            client.submit(board, player, 10 - score, at="2026-01-10T12:00:00Z")
    starts = "2026-01-02T18:00:00Z"
    stack.sql("update ladder.period p set created_at = p.starts_at from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.starts_at > '-infinity'", client.game)

    def are_closed():
        stack.roll()
        return all([p["state"] for p in client.read(f"/boards/{b}/periods", window="weekend")["periods"] if p["starts_at"] < "2026-02"] == ["closed", "closed"]
                   for b in "ab")
    wait_until(are_closed, 20, "the weekends are closed")
    refused(client.request("POST", "/boards/b/scores", {"player": "cy", "score": 9, "at": "2026-01-03T12:00:00Z", "windows": ["weekend"]}), "period-closed", "/at")
    fame = client.read("/hall-of-fame", window="weekend")["periods"]
    assert [(p["board"], p["window"], p["period"], p["winners"][0]["player"]) for p in fame if p["period"] == starts] == [
        ("b", "weekend", starts, "bob"), ("a", "weekend", starts, "bob")] and len(fame) == 4
    assert {p["window"] for p in client.read("/hall-of-fame")["periods"]} == {"weekend", "daily"}
    assert client.read("/hall-of-fame", window="lunch")["periods"] == []
    refused(client.get("/hall-of-fame", window="scheduled_1"), "invalid-parameter", "window")
    stats = client.read("/players/bob/stats")
    assert [(w["window"], w["best_rank"], w["top_ten"]) for w in stats["windows"]] == [("daily", 1, 2), ("weekend", 1, 4)]
    points = client.read("/boards/b/players/bob/history", window="weekend")
    assert points["window"] == "weekend" and [p["rank"] for p in points["points"]] == [2, 1]
    moved = client.get("/boards/b/compare", window="weekend", **{"with": starts})
    assert moved.status_code == 200 or moved.json()["type"].endswith("period-not-found")  # a weekend is on, or a pause
    # The same from the view.
    stack.refresh()
    assert client.read("/hall-of-fame", window="weekend")["periods"] == fame and client.read("/players/bob/stats")["windows"] == stats["windows"]
    # Opened again by its name, and told so.
    words = ("--game", client.game, "--board", "b")
    stack.cli("period", "reopen", *words, "--window", "weekend", "--period", starts, "--reason", "test")
    assert f"window=weekend period={starts}" in stack.cli("period", "log", *words)
    stack.cli("period", "reopen", *words, "--window", "lunch", "--period", starts, "--reason", "test", status=1)
    stack.cli("period", "reopen", *words, "--window", "scheduled_1", "--period", starts, "--reason", "test", status=2)
    exported = list(csv.DictReader(io.StringIO(stack.cli("export", *words, "--window", "weekend", "--period", starts))))
    assert [(r["rank"], r["player"], r["score"]) for r in exported] == [("1", "bob", "7"), ("2", "ann", "5")]


def test_the_webhook_names_the_schedule(stack, client):
    client.put_board("b", windows=["all", WEEKEND])
    stack.cli("game", "webhook", "set", client.game, "https://example.com/")
    client.submit("b", "ann", 5, at="2026-01-03T12:00:00Z")
    stack.sql("update ladder.period p set created_at = p.starts_at from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.window_kind = 'scheduled_1'", client.game)

    def messages():
        stack.roll()
        return stack.sql("select ladder.webhook_message(d.id) from ladder.webhook_delivery d join ladder.game g on g.id = d.game_id where g.name = %s", client.game)
    (message,), = wait_until(messages, 20, "the weekend is closed")
    data = json.loads(message)["data"]
    assert (data["window"], data["period"], data["ends_at"], data["entries"]) == ("weekend", "2026-01-02T18:00:00Z", "2026-01-05T06:00:00Z", 1)
    assert "b weekend 2026-01-02T18:00:00Z" in stack.cli("game", "webhook", "show", client.game)
    stack.cli("game", "webhook", "clear", client.game)


def test_export_and_import(stack, client, tmp_path):
    client.put_board("b", windows=["all", pause_now(stack), open_now(stack, "now")], operator="sum")
    board = client.read("/boards/b")
    last = datetime.datetime.fromisoformat(board["windows"][1]["next"][0]["starts_at"].replace("Z", "+00:00")) - 7 * DAY
    path = tmp_path / "rows.csv"
    # In the pause's last period, in the pause before it, and in both.
    times = [last, last + DAY, last - MINUTE, last - DAY, last - 7 * DAY]
    path.write_text("player,score,at\n" + "".join(f"p{i % 3},1,{text(at)}\n" for i, at in enumerate(times * 6)))
    stack.cli("import", path, "--game", client.game, "--board", "b", "--player", "player", "--score", "score", "--at", "at")
    # The worker tells Redis what an import wrote.
    wait_until(lambda: sum(e["score"] for e in client.read("/boards/b/top", window="all")["entries"]) == 30, 20, "all rows are there")
    wait_until(lambda: sum(e["score"] for e in client.read("/boards/b/top", window="event", period=text(last))["entries"]) == 12, 20, "those of the period, too")
    words = ("export", "--game", client.game, "--board", "b")
    rows = stack.cli(*words, "--window", "event", "--period", "previous").splitlines()[1:]
    assert sum(int(row.split(",")[2]) for row in rows) == 12
    assert "no such window, period" in stack.cli(*words, "--window", "event", status=1), "a pause"
    assert "no such window, period" in stack.cli(*words, "--window", "nothing", status=1)
    client.submit("b", "zoe", 3)
    assert stack.cli(*words, "--window", "now").splitlines()[1].split(",")[1] == "zoe"


def test_an_import_of_two_years(stack, client, tmp_path):
    """Each row in the weekend that the walk says."""
    client.put_board("b", windows=["all", WEEKEND], time_zone="Europe/Paris", operator="sum")
    first = utc(2024, 1, 1)
    weekends = cron.periods(WEEKEND["opens"], WEEKEND["closes"], "Europe/Paris", first - 20 * DAY, first + 750 * DAY)
    wanted = {}
    path = tmp_path / "rows.csv"
    with open(path, "w") as file:
        file.write("player,score,at\n")
        for hours in range(0, 730 * 24, 3):
            at = first + 60 * hours * MINUTE
            file.write(f"p{hours % 5},1,{text(at)}\n")
            for start, end in weekends:
                if start <= at < end:
                    wanted[text(start)] = wanted.get(text(start), 0) + 1
    stack.cli("import", path, "--game", client.game, "--board", "b", "--player", "player", "--score", "score", "--at", "at")
    got = stack.sql("select ladder.time_text(p.starts_at), sum(~e.k1)::int from ladder.period p join ladder.board b on b.id = p.board_id "
                    "join ladder.game g on g.id = b.game_id join ladder.entry e on e.period_id = p.id and e.window_kind = p.window_kind "
                    "and e.period_start = p.starts_at where g.name = %s and p.window_kind = 'scheduled_1' group by 1", client.game)
    assert dict(got) == wanted and len(wanted) > 100
    wait_until(lambda: sum(e["score"] for e in client.read("/boards/b/top", window="all")["entries"]) == 730 * 8, 20, "all rows are there")


def test_a_schedule_is_changed(stack, client):
    """A pause is over when the new schedule says; a period that is under way keeps its end."""
    client.put_board("b", windows=["all", pause_now(stack), open_now(stack, "now")])
    client.submit("b", "ann", 1)
    shown = client.read("/boards/b")["windows"]
    ends = shown[2]["next"][0]["ends_at"]
    assert client.submit("b", "bob", 1)["windows"]["event"]["closed"]
    changed = client.request("PATCH", "/boards/b", {"windows": ["all", open_now(stack, "event"), changed_end(stack)]}).json()["windows"]
    assert changed[1]["next"][0]["starts_at"] < text(stack.sql("select now()")[0][0])
    assert changed[2]["next"][0] == shown[2]["next"][0], "it keeps its bounds"
    assert changed[2]["next"][1]["starts_at"] >= ends and changed[2]["next"][1:] != shown[2]["next"][1:]
    answer = client.submit("b", "cy", 2)
    assert "closed" not in answer["windows"]["event"] and answer["windows"]["event"]["period"] == changed[1]["next"][0]["starts_at"]
    assert answer["windows"]["now"]["period"] == shown[2]["next"][0]["starts_at"] and answer["windows"]["now"]["rank"] == 1
    assert client.read("/boards/b")["windows"] == changed
    # And back to a pause: the period that has begun stays until its end.
    again = client.request("PATCH", "/boards/b", {"windows": ["all", pause_now(stack), open_now(stack, "now")]}).json()["windows"]
    assert again[1]["next"][0] == changed[1]["next"][0]
    assert "closed" not in client.submit("b", "dan", 3)["windows"]["event"]


def changed_end(stack):
    opens, closes = days(stack, -2, 2)
    return {"name": "now", "opens": f"30 0 * * {opens}", "closes": f"0 12 * * {closes}"}


def test_a_pause_that_was_made_by_the_old_schedule_goes(stack, client):
    """As a submission makes it whose transaction began before the change and ends after it."""
    client.put_board("b", windows=["all", open_now(stack)])
    board, = stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s", client.game)[0]
    stack.sql("delete from ladder.period where board_id = %s and window_kind = 'scheduled_1'", board)
    stack.sql("insert into ladder.period (board_id, window_kind, starts_at, ends_at, state) "
              "values (%s, 'scheduled_1', now() - interval '1 hour', now() + interval '9 days', 'pause')", board)
    assert client.submit("b", "ann", 1)["windows"]["event"]["closed"]
    stack.sql("update ladder.job_item set due_at = now() where job = 'roll' and item_id = %s", board)

    def is_gone():
        stack.roll()
        return stack.sql("select count(*) from ladder.period where board_id = %s and state = 'pause' and ends_at > now()", board) == [(0,)]
    wait_until(is_gone, 20, "the pause is gone")
    assert "closed" not in client.submit("b", "ann", 2)["windows"]["event"]


def test_edges_hear_of_openings_and_closings(stack, client):
    statement = (ROOT / "sql" / "statements" / "edge_periods.sql").read_text()
    statement = statement[statement.index("select"):]

    def told():
        rows = stack.sql(statement.replace("$1", "%s").replace("$2", "%s"), int((now - 20 * DAY).timestamp()) * 10 ** 6, int((now + 20 * DAY).timestamp()) * 10 ** 6)
        return {datetime.datetime.fromtimestamp(us / 10 ** 6, UTC) for game, board, us in rows if game == client.game}
    (now,), = stack.sql("select now()")
    shown = client.put_board("b", windows=["all", open_now(stack)], public=True, edge_max_age_s=5)["windows"][1]["next"]
    bounds = {datetime.datetime.fromisoformat(shown[0][edge].replace("Z", "+00:00")) for edge in ("starts_at", "ends_at")}
    assert told() == bounds
    client.submit("b", "ann", 1)
    client.request("PATCH", "/boards/b", {"windows": ["all", pause_now(stack)]})
    assert told() == bounds, "the period under way keeps its bounds"


def test_a_schedule_is_removed(stack, client):
    client.put_board("b", windows=["all", open_now(stack)])
    client.submit("b", "ann", 1)
    answer = client.request("PUT", "/boards/b", {"windows": ["all"]})
    assert answer.status_code == 409 and [(e["name"], e["entries"]) for e in answer.json()["errors"]] == [("event", 1)]
    answer = client.request("PUT", "/boards/b", {"windows": ["all", open_now(stack, "another")]})
    assert answer.status_code == 409 and [(e["name"], e["entries"]) for e in answer.json()["errors"]] == [("event", 1)]
    assert client.request("PUT", "/boards/b", {"windows": ["all"], "force": True}).status_code == 200
    assert client.submit("b", "ann", 2)["windows"].keys() == {"all"}
    refused(client.get("/boards/b/top", window="event"), "invalid-parameter", "window")
    # Another name has a place of its own; the old one comes back with its entries.
    client.put_board("b", windows=["all", open_now(stack, "another")])
    assert client.submit("b", "bob", 3)["windows"]["another"]["rank"] == 1
    assert [e["player"] for e in client.read("/boards/b/top", window="another")["entries"]] == ["bob"]
    client.put_board("b", windows=["all", open_now(stack, "another"), open_now(stack)])
    assert [e["player"] for e in client.read("/boards/b/top", window="event")["entries"]] == ["ann"]
    # Four names in all, with those that have periods.
    for name in "third", "fourth":
        client.put_board("b", windows=["all", open_now(stack, name)], force=True)
        client.submit("b", "cy", 1)
    refused(client.request("PUT", "/boards/b", {"windows": ["all", open_now(stack, "fifth")], "force": True}), "conflict", "/windows")
    refused(client.request("PATCH", "/boards/b", {"windows": [open_now(stack, "fifth")]}), "conflict", "/windows")
    # One that never had a period makes room.
    client.put_board("free", windows=[pause_now(stack, f"s{i}") for i in range(4)])
    client.put_board("free", windows=[pause_now(stack, f"t{i}") for i in range(4)])
    assert [w["name"] for w in client.read("/boards/free")["windows"]] == ["t0", "t1", "t2", "t3"]


def test_a_board_made_of_others_has_no_schedules(stack, client):
    client.put_board("source")
    client.put_board("fresh")
    client.put_board("sum")
    client.put_board("timed", windows=[WEEKEND])
    assert client.request("PUT", "/boards/sum/combination", {"by": "sum", "of": [{"board": "source", "weight": 1}]}).status_code == 200
    refused(client.request("PUT", "/boards/timed/combination", {"by": "sum", "of": [{"board": "source", "weight": 1}]}), "conflict")
    refused(client.request("PUT", "/boards/fresh/combination", {"by": "sum", "of": [{"board": "timed", "weight": 1}]}), "invalid-body")
    refused(client.request("PATCH", "/boards/sum", {"windows": ["all", WEEKEND]}), "conflict", "/windows")
    refused(client.request("PUT", "/boards/sum", {"windows": ["all", WEEKEND]}), "conflict", "/windows")


def test_periods_come_and_end_as_time_goes(stack, client):
    """In real time: a minute open, a minute closed; each acknowledged submission is in the period that it was said to be in."""
    client.put_board("b", windows=["all", {"name": "odd", "opens": "1-59/2 * * * *", "closes": "*/2 * * * *"}], operator="sum")
    counts, seen = {}, set()

    def submitted():
        shown = client.submit("b", "ann", 1)["windows"]["odd"]
        counts[shown["period"]] = counts.get(shown["period"], 0) + 1
        seen.add("closed" in shown)
        assert ("closed" in shown) == (shown["period"] is None)
        return shown["period"]

    def has_seen_both():
        before, answer, after = submitted(), client.get("/boards/b/top", window="odd"), submitted()
        if before is None and after is None:
            refused(answer, "period-not-found", "period")
        elif before == after:
            assert answer.json()["period"] == before
        return len(seen) == 2
    wait_until(has_seen_both, 100, "a period and a pause")
    for period, count in counts.items():
        if period is not None:
            assert client.read("/boards/b/players/ann", window="odd", period=period)["score"] == count
            assert int(period[14:16]) % 2 == 1 and period[16:] == ":00Z"
