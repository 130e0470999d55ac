"""Idempotency-Key: a write that is sent again happens once, and gets its first answer, byte for byte."""
import json
import threading

import pytest

from checks import refused
from harness import Client, wait_until

SCORE = {"player": "ann", "score": 5}
LINES = b'{"board":"sum","player":"ann","score":5}\n{"board":"no","player":"x","score":1}\n{"board":"sum","player":"bob","score":2}\n'
NDJSON = {"Content-Type": "application/x-ndjson"}

# Every route that writes: (method, path, body, headers, status of the first).
WRITES = [
    ("PUT", "/boards/new", {"order": "asc"}, {}, 201),
    ("PUT", "/boards/sum", {"operator": "sum", "score_max": 1000}, {}, 200),
    ("PUT", "/boards/sum", {"operator": "best"}, {}, 409),
    ("PATCH", "/boards/sum", {"public": True}, {}, 200),
    ("POST", "/boards/sum/scores", SCORE, {}, 200),
    ("POST", "/boards/sum/scores", {"player": "ann", "score": 2**62, "metadata": {"é": "\u0001"}}, {}, 200),
    ("POST", "/boards/small/scores", {"player": "ann", "score": 11}, {}, 422),
    ("POST", "/scores", {"scores": [{"board": "sum", **SCORE}, {"board": "small", **SCORE}, {"board": "no", **SCORE}]}, {}, 200),
    ("POST", "/scores", LINES, NDJSON, 200),
    ("DELETE", "/boards/sum/players/old", None, {}, 200),
    ("DELETE", "/players/old", None, {}, 200),
    ("DELETE", "/boards/old", None, {}, 204),
]


@pytest.fixture
def boards(client):
    client.put_board("sum", operator="sum")
    client.put_board("small", score_max=10)
    client.put_board("old")
    client.submit_many([dict(board=b, player="old", score=1) for b in ("sum", "small", "old")])
    return client


def send(client, method, path, body, headers, key, **more):
    return client.request(method, path, body, headers={**headers, "Idempotency-Key": key, **more})


def everything(client):
    """What a write could have changed."""
    names = [b["name"] for b in client.read("/boards")["boards"]]
    return client.get("/boards").text, [client.get(f"/boards/{n}/top", fields="metadata,achieved_at").text for n in names]


def is_the_same(first, again):
    assert (again.status_code, again.content) == (first.status_code, first.content), (first.text, again.text)
    for header in ("Content-Type", "Ladder-Token"):
        assert again.headers.get(header) == first.headers.get(header), header
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("method, path, body, headers, status", WRITES, ids=[f"{w[0]} {w[1]} {w[4]}" for w in WRITES])
def test_every_write_route(boards, stack, method, path, body, headers, status):
    client = boards
    first = send(client, method, path, body, headers, "k")
    assert first.status_code == status, first.text
    before = everything(client)
    is_the_same(first, send(client, method, path, body, headers, "k"))
    is_the_same(first, send(client, method, path, body, headers, '"k"'))  # quoted, as the draft has it
    assert everything(client) == before
    others = [("POST", "/boards/small/scores", {"player": "z", "score": 1}, {})]
    if body is not None:  # the same but for spaces is another body
        others.append((method, path, body + b"\n" if isinstance(body, bytes) else json.dumps(body) + " ", headers))
    if "scores" in path:
        others.append((method, path + "?integers=string", body, headers))
    for other in others:
        refused(send(client, *other, "k"), "idempotency-mismatch", "Idempotency-Key")
    assert everything(client) == before


def test_after_a_restart_and_on_another_server(boards, stack):
    firsts = {}
    server = stack.serve()
    client = Client(server, boards.game, boards.key)
    for i, (method, path, body, headers, _) in enumerate(WRITES):
        firsts[i] = send(client, method, path, body, headers, f"k{i}")
    assert {f.status_code for f in firsts.values()} == {200, 201, 204, 409, 422}
    before = everything(boards)
    for another in (boards, None):
        if another is None:
            assert server.stop() == 0
            server = stack.serve()
            another = Client(server, boards.game, boards.key)
        for i, (method, path, body, headers, _) in enumerate(WRITES):
            is_the_same(firsts[i], send(another, method, path, body, headers, f"k{i}"))
    assert everything(boards) == before
    assert server.stop() == 0


def test_a_first_request_in_flight_is_a_conflict(boards, stack):
    """The first waits for a lock on its entry; its repeat, here and on another server, is told to wait."""
    import psycopg2
    client = boards
    client.submit("sum", "ann", 1)
    server = stack.serve()
    elsewhere = Client(server, client.game, client.key)
    connection = psycopg2.connect(stack.primary_url)
    done = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("select 1 from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b on b.id = p.board_id "
                           "join ladder.game g on g.id = b.game_id where g.name = %s and e.player = 'ann' for update of e", (client.game,))
        mine = Client(client.server, client.game, client.key)
        first = threading.Thread(target=lambda: done.append(send(mine, "POST", "/boards/sum/scores", SCORE, {}, "slow")))
        first.start()
        waiting = ("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%ladder.submit%'")
        wait_until(lambda: stack.sql(waiting)[0][0] > 0, 5, "the first waits")
        repeats = []
        second = threading.Thread(target=lambda: repeats.append(send(elsewhere, "POST", "/boards/sum/scores", SCORE, {}, "slow")))
        second.start()
        second.join(0.5)
    finally:
        connection.rollback()
        connection.close()
    first.join()
    second.join()
    assert done[0].status_code == 200
    # Its transaction had not ended when the repeat met it: either it waited and got the first answer, or was told.
    if repeats[0].status_code == 409:
        refused(repeats[0], "request-in-flight")
    else:
        is_the_same(done[0], repeats[0])
    assert client.read("/boards/sum/players/ann")["score"] == 6
    assert server.stop() == 0


def test_taken_but_not_answered_yet_is_in_flight(boards, stack):
    """The write is committed, its answer not kept yet, its session alive: 409. When the session is gone, the answer is made."""
    client = boards
    first = send(client, "POST", "/boards/sum/scores", SCORE, {}, "k")
    mine = "key in (select i.key from ladder.idempotency_key i join ladder.game g on g.id = i.game_id where g.name = %s)"
    stack.sql(f"update ladder.idempotency_key set status = null, headers = null, body = null where {mine}", client.game)
    refused(send(client, "POST", "/boards/sum/scores", SCORE, {}, "k"), "request-in-flight")
    stack.sql(f"update ladder.idempotency_key set backend_at = 'epoch' where {mine}", client.game)
    made = send(client, "POST", "/boards/sum/scores", SCORE, {}, "k")
    assert made.status_code == 200
    for member in ("entry", "previous", "improved", "windows"):
        assert made.json()[member] == first.json()[member], member
    is_the_same_again = send(client, "POST", "/boards/sum/scores", SCORE, {}, "k")
    assert is_the_same_again.content == made.content
    assert client.read("/boards/sum/players/ann")["score"] == 5


def test_an_answer_that_could_not_be_kept_is_made_again(boards, stack):
    """The database took the write, but not its answer (its disk was full, its link cut): the session lives on, nobody is at work."""
    client = boards
    first = send(client, "POST", "/boards/sum/scores", SCORE, {}, "k")
    mine = "game_id = (select id from ladder.game where name = %s)"
    stack.sql(f"update ladder.idempotency_key set status = null, headers = null, body = null, created_at = now() - interval '11 seconds' "
              f"where {mine}", client.game)
    again = send(client, "POST", "/boards/sum/scores", SCORE, {}, "k")
    assert again.status_code == 200 and again.json()["entry"]["score"] == first.json()["entry"]["score"] == 5, again.text
    is_the_same(again, send(client, "POST", "/boards/sum/scores", SCORE, {}, "k"))
    assert client.read("/boards/sum/players/ann")["score"] == 5


def test_a_hundred_at_once_count_once(boards, stack):
    client, answers = boards, []
    server = stack.serve()

    def run(target):
        mine = Client(target, client.game, client.key)
        for n in range(5):
            for _ in range(4):
                answers.append((n, send(mine, "POST", "/boards/sum/scores", SCORE, {}, f"k{n}")))
    threads = [threading.Thread(target=run, args=(t,)) for t in [client.server, server] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.read("/boards/sum/players/ann")["score"] == 25
    for n in range(5):
        bodies = {a.content for k, a in answers if k == n and a.status_code == 200}
        assert len(bodies) == 1
    for _, answer in answers:
        if answer.status_code != 200:
            refused(answer, "request-in-flight")
    assert server.stop() == 0


def test_keys_are_kept_for_a_day(boards, stack):
    client = boards
    answers = {age: send(client, "POST", "/boards/sum/scores", SCORE, {}, age) for age in ("23 hours 59 minutes", "24 hours 1 minute")}
    rows = stack.sql("select i.key from ladder.idempotency_key i join ladder.game g on g.id = i.game_id where g.name = %s order by i.created_at",
                     client.game)
    for (key,), age in zip(rows, answers):
        stack.sql("update ladder.idempotency_key set created_at = now() - %s::interval where key = %s", age, key)

    def is_purged():
        stack.cli("purge")
        return stack.sql("select count(*) from ladder.idempotency_key i join ladder.game g on g.id = i.game_id where g.name = %s", client.game) == [(1,)]
    wait_until(is_purged, 30, "the old key is purged")
    is_the_same(answers["23 hours 59 minutes"], send(client, "POST", "/boards/sum/scores", SCORE, {}, "23 hours 59 minutes"))
    assert send(client, "POST", "/boards/sum/scores", SCORE, {}, "24 hours 1 minute").json()["entry"]["score"] == 15


def test_keys_are_of_one_game(boards, stack, ladder):
    game = stack.new_game()
    other = Client(ladder, game, stack.key(game))
    other.put_board("sum", operator="sum")
    assert send(boards, "POST", "/boards/sum/scores", SCORE, {}, "k").status_code == 200
    assert send(other, "POST", "/boards/sum/scores", {"player": "ann", "score": 7}, {}, "k").json()["entry"]["score"] == 7
    writer = Client(ladder, boards.game, stack.key(boards.game, "write"))
    assert send(writer, "POST", "/boards/sum/scores", SCORE, {}, "k").headers["Idempotency-Replayed"] == "true", "not of one API key"


@pytest.mark.parametrize("key, good", [("", False), ('""', False), ("x" * 255, True), ("x" * 256, False), ('"' + "x" * 255 + '"', True), ("a b", True)])
def test_lengths_of_keys(boards, key, good):
    answer = send(boards, "POST", "/boards/sum/scores", SCORE, {}, key)
    if good:
        assert answer.status_code == 200
    else:
        refused(answer, "invalid-parameter", "Idempotency-Key")


def test_what_was_refused_before_the_write_may_be_repaired(boards):
    """A key belongs to a request that reached the database; a request that was malformed did not use it."""
    refused(send(boards, "POST", "/boards/sum/scores", {"player": "ann"}, {}, "k"), "invalid-body", "/score")
    refused(send(boards, "POST", "/boards/nope/scores", SCORE, {}, "k"), "board-not-found")
    assert send(boards, "POST", "/boards/sum/scores", SCORE, {}, "k").status_code == 200


def test_a_refusal_that_came_later_does_not_change_the_first_answer(boards):
    first = send(boards, "PATCH", "/boards/sum", {"score_min": 5}, {}, "k")
    assert first.status_code == 200 and boards.request("PATCH", "/boards/sum", {"score_min": -9, "score_max": 3}).status_code == 200
    refused(boards.request("PATCH", "/boards/sum", {"score_min": 5}), "invalid-body", "/score_min")
    is_the_same(first, send(boards, "PATCH", "/boards/sum", {"score_min": 5}, {}, "k"))
    assert boards.read("/boards/sum")["score_min"] == -9


def test_reads_take_no_notice(boards):
    for _ in range(2):
        answer = boards.request("GET", "/boards/sum/top", headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200 and "Idempotency-Replayed" not in answer.headers


def test_a_board_that_is_gone_does_not_forget_what_was_answered(boards):
    client = boards
    first = send(client, "POST", "/boards/old/scores", SCORE, {}, "k")
    gone = send(client, "DELETE", "/boards/old", None, {}, "d")
    assert (first.status_code, gone.status_code) == (200, 204)
    is_the_same(first, send(client, "POST", "/boards/old/scores", SCORE, {}, "k"))
    is_the_same(gone, send(client, "DELETE", "/boards/old", None, {}, "d"))
    refused(send(client, "POST", "/boards/old/scores", {"player": "ann", "score": 6}, {}, "k"), "idempotency-mismatch")
    assert send(client, "DELETE", "/boards/old", None, {}, "another").status_code == 204
    client.put_board("old")
    is_the_same(gone, send(client, "DELETE", "/boards/old", None, {}, "d"))
    assert client.get("/boards/old").status_code == 200, "the board made again is not deleted by a repeat"


def test_the_answer_of_a_deletion_whose_server_died(boards, stack):
    client = boards
    assert send(client, "DELETE", "/boards/old", None, {}, "d").status_code == 204
    stack.sql("update ladder.idempotency_key set status = null, headers = null, body = null, backend_at = 'epoch' where game_id = "
              "(select id from ladder.game where name = %s)", client.game)
    assert send(client, "DELETE", "/boards/old", None, {}, "d").status_code == 204
    is_the_same_again = send(client, "DELETE", "/boards/old", None, {}, "d")
    assert is_the_same_again.status_code == 204 and is_the_same_again.headers["Idempotency-Replayed"] == "true"


