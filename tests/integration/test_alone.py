"""What cannot be taken or done is refused or left out alone: everybody else is answered as if it were not there."""
import contextlib
import json
import re
import threading

import psycopg2
import pytest
import requests

from checks import problem_is
from harness import Client, wait_until
from test_webhook import Receiver

NDJSON = {"Content-Type": "application/x-ndjson"}
# Of the data; each has been seen from PostgreSQL for one row of many.
OF_DATA = ["P0001", "22003", "23514", "23505", "42P01", "54000", "XX000", "XX002"]


@pytest.fixture(scope="module")
def serving(stack):
    """One loop and one connection for submissions, so that all that waits shares a batch."""
    server = stack.serve(server_loops=1, database_write_connections=1)
    worker = stack.worker(webhook_allow_private="true")
    stack.trusted(server)
    yield server
    assert server.stop() == 0
    server.check_clean()
    worker.stop()


def patiently(stack, query):
    """A change of a table, beside a worker that uses it: deadlocks are no news."""
    def ran():
        with contextlib.suppress(psycopg2.errors.DeadlockDetected, psycopg2.errors.LockNotAvailable):
            stack.sql("set lock_timeout = '2s'; " + query)
            return True
    wait_until(ran, 60, query)


ruled = set()


@pytest.fixture(scope="module", autouse=True)
def no_rule_stays(stack):
    yield
    for table in ruled:
        patiently(stack, f"drop function ladder.broken_{table}() cascade")
    ruled.clear()


@contextlib.contextmanager
def rule(stack, table, condition, action, timing="before insert or update", names_old=False):
    """A fault in the database: for rows that meet the condition, `action` is run."""
    head = f"create or replace function ladder.broken_{table}() returns trigger language plpgsql as $$ begin "
    tail = " return case tg_op when 'DELETE' then old else new end; end $$"
    # OLD is not there in an insertion: a condition that names it is looked at only in an update.
    condition = f"tg_op = 'UPDATE' then if {condition} then {action} end if" if names_old else f"{condition} then {action}"
    stack.sql(head + f"if {condition}; end if;".replace(";;", ";") + tail)
    ruled.add(table)
    patiently(stack, f"create or replace trigger broken {timing} on ladder.{table} for each row execute function ladder.broken_{table}()")
    try:
        yield
    finally:
        stack.sql(head + tail)


@contextlib.contextmanager
def deferred(stack, condition, sqlstate="P0001"):
    """The same of the commit: what was submitted meets the condition (of score_event), and the commit is refused."""
    stack.sql("create or replace function ladder.broken_commit() returns trigger language plpgsql as $$ begin "
              f"if {condition} then raise exception 'no commit for %', new.player using errcode = '{sqlstate}'; end if; return null; end $$")
    patiently(stack, "create constraint trigger broken_commit after insert on ladder.score_event deferrable initially deferred "
                     "for each row execute function ladder.broken_commit()")
    try:
        yield
    finally:
        patiently(stack, "drop function ladder.broken_commit() cascade")


def raising(stack, sqlstate="P0001"):
    return rule(stack, "entry", "new.player like 'bad%'", f"raise exception 'no room for %', new.player using errcode = '{sqlstate}';")


def game(stack, server, **definition):
    client = Client(server, stack.new_game())
    client.key = stack.key(client.game)
    client.put_board("b", **definition)
    return client


def three_games(stack, server, **definition):
    """Three games with a board each; the second one is at fault. Returns clients, boards."""
    clients = [game(stack, server, **definition) for _ in range(3)]
    boards = "select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s"
    return clients, [stack.sql(boards, client.game)[0][0] for client in clients]


def queued(server):
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=50).text
    return int(re.search(r"^ladder_submit_queue (\d+)", text, re.M)[1])


def together(stack, server, posts):
    """Sends posts (functions) so that the database gets them as one batch, in this order; returns their answers."""
    answers = [None] * len(posts)

    def run(i):
        answers[i] = posts[i]()
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as session, session.cursor() as cursor:
        cursor.execute("lock table ladder.entry in share row exclusive mode")
        # Behind a batch under way, the next ones wait for it.
        first = game(stack, server)
        opener = threading.Thread(target=first.submit, args=("b", "first", 1))
        opener.start()
        wait_until(lambda: stack.sql("select count(*) from pg_stat_activity where query like '%%ladder.submit(%%' and wait_event_type = 'Lock'")[0][0], 20,
                   "the first batch waits")
        threads = []
        for i in range(len(posts)):
            threads.append(threading.Thread(target=run, args=(i,)))
            threads[-1].start()
            wait_until(lambda: queued(server) >= i + 1, 20, f"{i + 1} submissions wait")
        session.rollback()
    for thread in [opener, *threads]:
        thread.join()
    return answers


def post(client, player, score, **fields):
    return lambda: client.request("POST", "/boards/b/scores", {"player": player, "score": score, **fields})


def incident(server, answer_or_problem):
    """The log's line of the incident that a problem names."""
    text = answer_or_problem["detail"]
    number = re.search(r"incident ([0-9a-f]{16})", text)[1]
    (line,) = [x for x in server.log().splitlines() if number in x]
    assert "event=item-failed" in line
    return line


@pytest.mark.parametrize("sqlstate", OF_DATA)
def test_a_submission_that_the_database_refuses_is_refused_alone(stack, serving, sqlstate):
    games = [game(stack, serving) for _ in range(3)]
    posts = [post(games[0], "ann", 10), post(games[1], "bob", 20), post(games[2], "bad", 30), post(games[2], "cid", 40), post(games[0], "dan", 50)]
    with raising(stack, sqlstate):
        answers = together(stack, serving, posts)
    assert [a.status_code for a in answers] == [200, 200, 500, 200, 200], [a.text for a in answers]
    problem_is(answers[2].json(), "item-failed")
    line = incident(serving, answers[2].json())
    assert sqlstate in line and "no room for bad" in line
    assert "no room" not in answers[2].text
    assert [a.json()["entry"]["rank"] for a in answers if a.status_code == 200] == [1, 1, 1, 1]
    assert [[e["player"] for e in g.pages("b")] for g in games] == [["dan", "ann"], ["bob"], ["cid"]]
    assert post(games[2], "bad", 30)().status_code == 200  # nothing of it is left


ITEMS = [("ann", 5), ("bob", 7), ("ann", -3), ("cid", 7), ("bob", 1), ("ann", 9), ("cid", -7), ("dan", 2)]


@pytest.mark.parametrize("operator", ["sum", "last", "best"])
@pytest.mark.parametrize("place", range(len(ITEMS) + 1))
def test_the_others_get_what_they_would_without_it(stack, serving, operator, place):
    """Ranks before and after, scores and order, with the failing item at each place."""
    client = game(stack, serving, operator=operator, windows=["all", "daily"])
    client.put_board("twin", operator=operator, windows=["all", "daily"])

    def rows(board, items):
        return [{"board": board, "player": p, "score": s} for p, s in items]
    with raising(stack):
        answer = client.request("POST", "/scores", {"scores": rows("b", [*ITEMS[:place], ("bad", 3), *ITEMS[place:]])})
    results = answer.json()["results"]
    twins = client.submit_many(rows("twin", ITEMS))
    problem_is(results.pop(place)["problem"], "item-failed")

    def seen(result):
        for place in (result["entry"], result["previous"] or {}):
            place.pop("achieved_at", None)
        return result["status"], result["entry"], result["previous"], result["improved"], {w: (r["rank"], r["score"], r["improved"]) for w, r in result["windows"].items()}
    assert [seen(r) for r in results] == [seen(r) for r in twins]
    assert [(e["player"], e["score"], e["rank"]) for e in client.pages("b")] == [(e["player"], e["score"], e["rank"]) for e in client.pages("twin")]
    # The instants are those of one batch: in the order of arrival.
    at = stack.sql("select v.achieved_at from ladder.score_event v join ladder.board b on b.id = v.board_id join ladder.game g on g.id = b.game_id "
                   "where g.name = %s and b.name = 'b' order by v.id", client.game)
    assert at == sorted(at) and len(set(at)) == len(ITEMS)


def test_many_at_fault(stack, serving):
    """Of several games, in all places, under keys and without."""
    games = [game(stack, serving) for _ in range(4)]
    with raising(stack):
        answers = together(stack, serving, [post(games[i % 4], f"{'bad' if i % 3 == 0 else 'good'}{i}", i) for i in range(20)])
    assert [a.status_code for a in answers] == [500 if i % 3 == 0 else 200 for i in range(20)]
    for number, client in enumerate(games):
        assert [e["player"] for e in client.pages("b")] == [f"good{i}" for i in reversed(range(20)) if i % 3 and i % 4 == number]


def test_lines(stack, serving):
    client = game(stack, serving)
    lines = [{"board": "b", "player": "bad" if i == 1500 else f"p{i}", "score": i} for i in range(3000)]
    with raising(stack):
        answer = client.request("POST", "/scores", "".join(json.dumps(line) + "\n" for line in lines).encode(), headers=NDJSON, results="errors").json()
    assert (answer["taken"], answer["refused"], [r["line"] for r in answer["results"]]) == (2999, 1, [1501]), answer
    problem_is(answer["results"][0]["problem"], "item-failed")


# ---- at the commit ----

@pytest.mark.parametrize("sqlstate", ["P0001", "23505", "XX000"])
def test_a_submission_whose_commit_is_refused_is_refused_alone(stack, serving, sqlstate):
    games = [game(stack, serving) for _ in range(3)]
    posts = [post(games[0], "ann", 10), post(games[1], "bob", 20), post(games[2], "bad", 30), post(games[2], "cid", 40), post(games[0], "dan", 50)]
    lost = serving.log().count("event=database-lost")
    with deferred(stack, "new.player like 'bad%'", sqlstate):
        answers = together(stack, serving, posts)
    assert [a.status_code for a in answers] == [200, 200, 500, 200, 200], [a.text for a in answers]
    problem_is(answers[2].json(), "item-failed")
    line = incident(serving, answers[2].json())
    assert sqlstate in line and "no commit for bad" in line
    assert [a.json()["entry"]["rank"] for a in answers if a.status_code == 200] == [1, 1, 1, 1]
    assert [[e["player"] for e in g.pages("b")] for g in games] == [["dan", "ann"], ["bob"], ["cid"]]
    assert serving.log().count("event=database-lost") == lost
    assert post(games[2], "bad", 30)().status_code == 200  # nothing of it is left


def test_a_commit_that_is_refused_for_the_server_is_of_the_whole_batch(stack, serving):
    client = game(stack, serving)
    with deferred(stack, "new.player like 'bad%'", "53100"):
        answers = client.request("POST", "/scores", {"scores": [{"board": "b", "player": p, "score": 1} for p in ("ann", "bad")]}).json()
    assert [r["status"] for r in answers["results"]] == [503, 503]
    assert client.pages("b") == []


def test_a_key_whose_commit_is_refused(stack, serving):
    """It keeps the answers of the others, and is unused if there are none."""
    client, keys = game(stack, serving), [{"Idempotency-Key": k} for k in "jk"]
    items = [[{"board": "b", "player": p, "score": 1} for p in players] for players in (["bad", "ann", "bad2"], ["bad3"])]

    def send(n):
        answer = client.request("POST", "/scores", {"scores": items[n]}, headers=keys[n])
        return [r["status"] for r in answer.json()["results"]], "Idempotency-Replayed" in answer.headers
    with deferred(stack, "new.player like 'bad%'"):
        assert [send(0), send(1)] == [([500, 200, 500], False), ([500], False)]
    assert [send(0), send(1)] == [([500, 200, 500], True), ([200], False)]
    assert sorted(e["player"] for e in client.pages("b")) == ["ann", "bad3"]


# ---- Idempotency-Keys ----

def test_a_key_is_unused_after_its_only_submission_failed(stack, serving):
    client, key = game(stack, serving), {"Idempotency-Key": "once"}

    def send(player, headers):
        return lambda: client.request("POST", "/boards/b/scores", {"player": player, "score": 1}, headers=headers)
    with raising(stack):
        answers = together(stack, serving, [send("bad", key), send("ann", {"Idempotency-Key": "other"})])
        assert [a.status_code for a in answers] == [500, 200]
        assert send("bad", key)().status_code == 500
    answer = send("bad", key)()
    assert answer.status_code == 200 and "Idempotency-Replayed" not in answer.headers
    assert send("bad", key)().headers["Idempotency-Replayed"] == "true"
    assert send("ann", {"Idempotency-Key": "other"})().headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("kind", ["json", "lines"])
def test_a_key_keeps_the_answers_of_the_others(stack, serving, kind):
    client, key = game(stack, serving, operator="sum"), {"Idempotency-Key": "k"}
    client.put_board("c", operator="sum")
    items = [{"board": "bc"[i % 2], "player": ["bad1", "ann", "ann", "bad2", "bob"][i], "score": i + 1} for i in range(5)]

    def send():
        if kind == "json":
            return client.request("POST", "/scores", {"scores": items}, headers=key)
        return client.request("POST", "/scores", "".join(json.dumps(i) + "\n" for i in items).encode(), headers={**key, **NDJSON})
    with raising(stack):
        first = send()
    again = send()
    assert [r["status"] for r in first.json()["results"]] == [500, 200, 200, 500, 200]
    assert again.json()["results"] == first.json()["results"]
    assert stack.sql("select count(*), sum(score) from ladder.score_event v join ladder.board b on b.id = v.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s", client.game) == [(3, 10)]
    # The outcome, from which an answer that was lost is made.
    stack.sql("update ladder.idempotency_key k set status = null, body = null, headers = null, created_at = now() - interval '1 minute' from ladder.game g "
              "where g.id = k.game_id and g.name = %s", client.game)
    if kind == "json":
        made = send()
        assert [r["status"] for r in made.json()["results"]] == [500, 200, 200, 500, 200], made.text
        assert [r["entry"]["score"] for r in made.json()["results"] if r["status"] == 200] == [2, 3, 5]


def test_a_key_whose_submissions_all_fail_is_unused(stack, serving):
    client, key = game(stack, serving), {"Idempotency-Key": "k"}
    items = {"scores": [{"board": "b", "player": f"bad{i}", "score": i} for i in range(3)]}
    with raising(stack):
        assert [r["status"] for r in client.request("POST", "/scores", items, headers=key).json()["results"]] == [500] * 3
    answer = client.request("POST", "/scores", items, headers=key)
    assert [r["status"] for r in answer.json()["results"]] == [200] * 3 and "Idempotency-Replayed" not in answer.headers


# ---- bounds ----

def test_what_says_nothing_of_the_data_is_of_the_whole_batch(stack, serving):
    """Out of resources, shutting down: nobody is at fault, nothing is taken, and nothing is tried one by one."""
    client = game(stack, serving)
    for sqlstate in ("53100", "57P01", "25006", "58030"):
        with raising(stack, sqlstate):
            answers = client.request("POST", "/scores", {"scores": [{"board": "b", "player": p, "score": 1} for p in ("ann", "bad")]}).json()
        assert [r["status"] for r in answers["results"]] == [503, 503], sqlstate
    assert client.pages("b") == []


def test_time_for_many_errors_is_bounded(stack, serving):
    """A board whose every submission fails slowly uses up its own time."""
    bad, good = game(stack, serving), game(stack, serving)
    items = {"scores": [{"board": "b", "player": f"bad{i}", "score": i} for i in range(60)]}
    with rule(stack, "entry", "new.player like 'bad%'", "perform pg_sleep(0.05); raise exception 'slow';"):
        answers = together(stack, serving, [post(good, "ann", 1), lambda: bad.request("POST", "/scores", items), post(good, "bob", 2)])
    assert [a.status_code for a in answers] == [200] * 3
    statuses = [r["status"] for r in answers[1].json()["results"]]
    assert set(statuses) == {500, 503} and statuses.count(503) > 20


def test_failures_are_counted(stack, serving):
    def failed():
        return int(re.search(r"^ladder_items_failed_total (\d+)", requests.get(f"http://127.0.0.1:{serving.port}/metrics", timeout=50).text, re.M)[1])
    client, before = game(stack, serving), failed()
    with raising(stack):
        client.request("POST", "/scores", {"scores": [{"board": "b", "player": p, "score": 1} for p in ("bad", "ann", "bad2")]})
    assert failed() == before + 2


# ---- Redis ----

class Library:
    """The functions in Redis, changed so that those named raise an error for one standing."""

    def __init__(self, stack, standing, functions):
        self.redis, (library,) = stack.redis, stack.redis.execute_command("FUNCTION", "LIST", "LIBRARYNAME", stack.redis_function("")[:-1], "WITHCODE")
        fields = dict(zip(library[::2], library[1::2]))
        self.code = fields[b"library_code"]
        code = self.code.decode()
        for function in functions:
            name = stack.redis_function(function)
            found = re.search(rf"'{name}', (mended\(\w+\)|\w+)", code)
            code = code.replace(found[0], f"'{name}', function(keys, args) if string.find(keys[1], ':{standing}:meta', 1, true) then error('no room') end "
                                          f"return ({found[1]})(keys, args) end")
        self.changed = code.encode()

    def __enter__(self):
        self.redis.execute_command("FUNCTION", "LOAD", "REPLACE", self.changed)

    def __exit__(self, *_):
        self.redis.execute_command("FUNCTION", "LOAD", "REPLACE", self.code)


def standing_of(stack, client, board="b"):
    return stack.sql("select p.id, b.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s and b.name = %s and p.facet = '' and p.window_kind = 'all'", client.game, board)[0]


def cursors(stack):
    """How far the tail is, in each shard: microseconds."""
    return [int(stack.redis.get(f"ladder:{{{shard}}}:cursor").split()[1]) for shard in range(256)]


def alerts(server):
    return {a["alert"]: a["why"] for a in requests.get(f"http://127.0.0.1:{server.port}/monitoring/alerts", timeout=50).json()["alerts"]}


def again(stack):
    stack.sql("update ladder.job_item set due_at = now() where failures > 0")


def source(client, **parameters):
    return client.read("/boards/b/top", source="true", **parameters)["source"]


@pytest.mark.parametrize("functions", [["apply"], ["apply", "drop"], ["apply", "drop", "build"], ["apply", "load"], ["apply", "flip"]], ids=" ".join)
def test_a_standing_that_redis_fails_for_is_left_out_alone(stack, serving, functions):
    bad, good = game(stack, serving), game(stack, serving)
    for client in (bad, good):
        client.submit("b", "ann", 1)
    standing, board = standing_of(stack, bad)
    wait_until(lambda: source(bad) == source(good) == "redis", 20, "both are in Redis")
    with Library(stack, standing, functions):
        answers = [client.submit("b", player, score) for player, score in (("bob", 3), ("cid", 2)) for client in (bad, good)]
        assert [a["entry"]["rank"] for a in answers] == [1, 1, 2, 2]
        before = cursors(stack)
        wait_until(lambda: min(cursors(stack)) > max(before), 20, "the tail goes on, in every shard")
        wait_until(lambda: stack.sql("select failures from ladder.job_item where job = 'tail' and item_id = %s", board), 20, "the tail noted it")
        # Boards of other tests may be in it, too.
        wait_until(lambda: "tail: " in alerts(serving).get("board-job-failed", ""), 20, "the alert")
        good.submit("b", "dan", 9)
        wait_until(lambda: source(good) == "redis", 20, "the other one stays in Redis")
        for client, players in ((bad, ["bob", "cid", "ann"]), (good, ["dan", "bob", "cid", "ann"])):
            assert [e["player"] for e in client.pages("b")] == players
        # Another one is rebuilt beside it.
        stack.redis.execute_command("FCALL", stack.redis_function("drop"), 1, f"ladder:{{{standing_of(stack, good)[0] % 256}}}:{standing_of(stack, good)[0]}:meta")
        wait_until(lambda: source(good) == "redis", 20, "the other one is rebuilt")
        bad.submit("b", "eve", 10)
        assert [e["player"] for e in bad.pages("b")] == ["eve", "bob", "cid", "ann"]
    wait_until(lambda: source(bad) == "redis", 60, "it is in Redis again")
    assert [e["player"] for e in bad.pages("b")] == ["eve", "bob", "cid", "ann"]
    stack.sql("update ladder.job_item set failed_at = now() - interval '2 minutes' where job = 'tail'")
    wait_until(lambda: not stack.sql("select from ladder.job_item where failures > 0 and item_id = %s", board), 20, "nothing fails for it")
    wait_until(lambda: "tail: " not in alerts(serving).get("board-job-failed", ""), 20, "the alert is over")


# ---- jobs of the worker ----

def test_combined_boards(stack, serving):
    games = [game(stack, serving) for _ in range(3)]
    for client in games:
        client.put_board("x")
        client.request("PUT", "/boards/x/combination", {"by": "sum", "of": [{"board": "b", "weight": 2}]})
        client.submit("b", "ann", 1)
    wait_until(lambda: all(client.pages("x") for client in games), 30, "all are combined")
    standing, board = standing_of(stack, games[1], "x")

    def scores():
        return [[e["score"] for e in client.pages("x")] for client in games]
    with rule(stack, "entry", f"new.period_id = {standing}", "raise exception 'not combined';"):
        for client in games:
            client.submit("b", "ann", 5)
        wait_until(lambda: scores() == [[10], [2], [10]], 30, "the others are combined")
        wait_until(lambda: stack.sql("select failures from ladder.job_item where job = 'combine' and item_id = %s", board), 20, "it is noted")
    again(stack)
    wait_until(lambda: scores() == [[10]] * 3, 30, "it is combined too")
    wait_until(lambda: not stack.sql("select from ladder.job_item where job = 'combine' and failures > 0"), 20, "it fails no more")


def test_messages_to_webhooks(stack, serving):
    """A message that cannot be made is tried again by itself; those of other games are sent."""
    receiver = Receiver()
    games = [game(stack, serving) for _ in range(3)]
    ids = [stack.sql("select id from ladder.game where name = %s", client.game)[0][0] for client in games]
    for client in games:
        stack.cli("game", "webhook", "set", client.game, receiver.url)
        client.submit("b", "ann", 1)
    stack.sql("alter table ladder.webhook drop constraint webhook_top_count_ck")
    stack.sql("update ladder.webhook set top_count = -1 where game_id = %s", ids[1])
    try:
        stack.sql("insert into ladder.webhook_delivery (message_id, game_id, period_id) select 'msg_' || b.game_id, b.game_id, p.id from ladder.board b "
                  "join ladder.period p on p.board_id = b.id where b.game_id = any (%s) order by b.game_id", ids)

        def told():
            return {json.loads(body)["data"]["game"] for _, _, body in receiver.got}
        wait_until(lambda: told() == {games[0].game, games[2].game}, 30, "the others are told")
        wait_until(lambda: stack.sql("select last_error like '%%LIMIT must not be negative%%' from ladder.webhook_delivery where game_id = %s", ids[1]) == [(True,)],
                   20, "why it is not sent")
        stack.sql("update ladder.webhook set top_count = 1 where game_id = %s", ids[1])

        def all_told():
            stack.sql("update ladder.webhook_delivery set next_at = now() where next_at is not null and game_id = %s", ids[1])
            return len(told()) == 3
        wait_until(all_told, 30, "it is sent too")
    finally:
        for client in games:
            stack.cli("game", "webhook", "clear", client.game)
        stack.sql("alter table ladder.webhook add constraint webhook_top_count_ck check (top_count between 0 and 1000)")
        stack.sql("comment on constraint webhook_top_count_ck on ladder.webhook is 'A message stays below a megabyte.'")
        receiver.shutdown()


def test_warm(stack, serving):
    client = game(stack, serving)
    for board in ("b", "c", "d"):
        client.put_board(board)
        client.submit(board, "ann", 1)
    standings = [standing_of(stack, client, board)[0] for board in ("b", "c", "d")]
    wait_until(lambda: all(stack.redis.hget(f"ladder:{{{s % 256}}}:{s}:meta", "gen") for s in standings), 20, "all are in Redis")
    before = [stack.redis.hget(f"ladder:{{{s % 256}}}:{s}:meta", "gen") for s in standings]
    with Library(stack, standings[1], ["build"]):
        text = stack.cli("warm", "--game", client.game, status=1)
        assert "warm: 3 standings" in text and "1 standings could not be loaded" in text and f"standing={standings[1]} " in text, text
    after = [stack.redis.hget(f"ladder:{{{s % 256}}}:{s}:meta", "gen") for s in standings]
    assert [a != b for a, b in zip(after, before)] == [True, False, True]


# ---- turns ----

def board_id(stack, client):
    return stack.sql("select b.id from ladder.board b join ladder.game g on g.id = b.game_id where g.name = %s", client.game)[0][0]


def crowded(stack, serving, send):
    """While the database holds up the first batch, send(noisy) queues much of one game; then another game submits once. Returns how many of
    noisy's submissions were taken before that one."""
    noisy, lone = game(stack, serving), game(stack, serving)
    threads = []
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as session, session.cursor() as cursor:
        cursor.execute("lock table ladder.entry in share row exclusive mode")
        first = game(stack, serving)
        opener = threading.Thread(target=first.submit, args=("b", "first", 1))
        opener.start()
        wait_until(lambda: stack.sql("select count(*) from pg_stat_activity where query like '%%ladder.submit(%%' and wait_event_type = 'Lock'")[0][0], 20,
                   "the first batch waits")
        threads, count = send(noisy)
        # Two batches may be under way: what is in them no longer counts as waiting.
        wait_until(lambda: queued(serving) >= count - 2 * BATCH_MAX, 30, "they wait")
        waiting = queued(serving)
        threads.append(threading.Thread(target=lone.submit, args=("b", "lone", 1)))
        threads[-1].start()
        wait_until(lambda: queued(serving) == waiting + 1, 20, "the lone one waits")
        session.rollback()
    for thread in [opener, *threads]:
        thread.join()
    query = "select min(e.revision) from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = %s"
    mine = stack.sql(query, board_id(stack, lone))[0][0]
    return stack.sql(query.replace("min(e.revision)", "count(*)") + " and e.revision < %s", board_id(stack, noisy), mine)[0][0], count


BATCH_MAX = 50


@pytest.fixture(scope="module")
def narrow(stack):
    """One loop, one connection for submissions, small batches."""
    server = stack.serve(server_loops=1, database_write_connections=1, database_batch_max=BATCH_MAX)
    stack.trusted(server)
    yield server
    assert server.stop() == 0
    server.check_clean()


def start(calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def test_a_lone_submission_passes_bulk_requests_of_another_game(stack, narrow):
    def send(noisy):
        def bulk(n):
            return lambda: noisy.request("POST", "/scores", {"scores": [{"board": "b", "player": f"p{n}-{i}", "score": i} for i in range(1000)]})
        return start([bulk(n) for n in range(3)]), 3000
    before, count = crowded(stack, narrow, send)
    # What was under way when it came, and no more than one batch that was cut before its turn.
    assert before <= 3 * BATCH_MAX < count / 5


def test_a_lone_submission_passes_single_ones_of_another_game(stack, narrow):
    def send(noisy):
        return start([lambda n=n: noisy.submit("b", f"p{n}", n) for n in range(450)]), 450
    before, count = crowded(stack, narrow, send)
    assert before <= 3 * BATCH_MAX < count


def test_bulk_is_cut_short_while_single_submissions_come(stack, serving):
    server = stack.serve(server_loops=1)
    stack.trusted(server)
    bulk, lone = game(stack, server), game(stack, server)

    def transactions(prefix):
        bulk.submit_many([{"board": "b", "player": f"{prefix}{n}", "score": n} for n in range(1000)])
        return stack.sql("select count(distinct e.xmin::text) from ladder.entry e join ladder.period p on p.id = e.period_id where p.board_id = %s and e.player like %s",
                         board_id(stack, bulk), prefix + "%")[0][0]
    assert transactions("a") <= 3
    is_over = threading.Event()

    def singles():
        while not is_over.is_set():
            lone.submit("b", "lone", 1)
    thread = threading.Thread(target=singles)
    lone.submit("b", "lone", 1)
    thread.start()
    try:
        assert transactions("b") >= 8
    finally:
        is_over.set()
        thread.join()
    assert server.stop() == 0


def test_a_board_that_failed_is_submitted_apart(stack, narrow):
    """Once something of a board was refused, its submissions make no batch of other games fail."""
    good, bad = game(stack, narrow), game(stack, narrow)
    with raising(stack):
        assert post(bad, "bad", 1)().status_code == 500
        failed = narrow.log().count("event=batch-failed")
        sent = [post(good, "ann", 1), post(bad, "bad", 2), post(good, "bob", 2), post(bad, "cid", 3)]
        answers = together(stack, narrow, sent)
        assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
        lines = [line for line in narrow.log().splitlines() if "event=batch-failed" in line][failed:]
        assert len(lines) == 1 and "items=2" in lines[0], lines
