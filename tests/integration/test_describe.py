"""PATCH of a player: the metadata of an entry without a score, in every standing, database and cache that shows it."""
import json
import threading

import pytest

import compare
from checks import refused
from harness import Client, wait_until


def patch(client, player, metadata, headers=None, board="b", **parameters):
    answer = client.request("PATCH", f"/boards/{board}/players/{player}", {"metadata": metadata}, headers=headers, **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Ladder-Token"] == answer.json()["token"]
    return answer.json()


def shown(client, token=None, **parameters):
    answer = client.request("GET", "/boards/b/top", fields="metadata", headers={"Ladder-Token": token} if token else None, **parameters)
    assert answer.status_code == 200, answer.text
    return {e["player"]: e["metadata"] for e in answer.json()["entries"]}


@pytest.fixture
def played(client):
    client.put_board("b", facets=["country"], windows=["all", "daily"])
    for player, score, facets in (("ann", 50, {"country": "BR"}), ("bob", 70, {"country": "BR"}), ("cy", 60, None)):
        client.submit("b", player, score, metadata={"car": 1}, **({"facets": facets} if facets else {}))
    return client


@pytest.mark.parametrize("operator, total", [("best", 50), ("sum", 90), ("last", 40)])
def test_metadata_changes_and_nothing_else(stack, client, operator, total):
    client.put_board("b", operator=operator, windows=["all", "daily"])
    client.submit("b", "bob", 70)
    client.submit("b", "ann", 50, metadata={"car": 1})
    client.submit("b", "ann", 40, metadata={"car": 2})
    before = client.read("/boards/b/players/ann")
    answer = patch(client, "ann", {"car": [3, "é"]})
    assert answer["entry"] == {k: before[k] for k in ("rank", "player", "score", "subscore", "achieved_at")} | {"metadata": {"car": [3, "é"]}}
    assert answer["standings"] == 2 and answer["entry"]["score"] == total
    assert client.read("/boards/b/players/ann") == before | {"metadata": {"car": [3, "é"]}}
    assert patch(client, "ann", {"car": [3, "é"]})["standings"] == 0  # it is so already
    assert patch(client, "ann", None)["entry"]["metadata"] is None
    assert shown(client, window="daily") == {"ann": None, "bob": None}
    # A submission counts from here on as before.
    assert client.submit("b", "ann", 60, metadata=7)["entry"]["metadata"] == 7
    wait_until(lambda: compare.same(stack, client.game), 30, "Redis equals PostgreSQL")


def test_one_window(played):
    assert patch(played, "ann", 2, window="daily")["standings"] == 2  # the board's and the country's
    assert shown(played)["ann"] == {"car": 1} and shown(played, window="daily")["ann"] == 2
    assert shown(played, facet="country:BR")["ann"] == {"car": 1} and shown(played, facet="country:BR", window="daily")["ann"] == 2


def test_no_cached_page_is_old(stack, played):
    """On this server, on another with the token, and in the client's own cache."""
    server = stack.serve()
    stack.trusted(server)
    other = Client(server, played.game, played.key)
    for i in range(20):
        for client in (played, other):
            for facet in ({}, {"facet": "country:BR"}):
                shown(client, **facet)
        page = played.get("/boards/b/top", fields="metadata")
        answer = patch(played, "ann", i)
        assert answer["standings"] == 4 and answer["entry"]["rank"] == 3
        for facet in ({}, {"facet": "country:BR"}):
            for window in ("all", "daily"):
                assert shown(played, window=window, **facet)["ann"] == i
                assert shown(other, answer["token"], window=window, **facet)["ann"] == i
        again = played.get("/boards/b/top", fields="metadata", headers={"If-None-Match": page.headers["ETag"]})
        assert again.status_code == 200
    server.stop()
    wait_until(lambda: compare.same(stack, played.game), 30, "Redis equals PostgreSQL")


def test_without_redis(stack, ladder, played):
    """A server that has no Redis changes it; PostgreSQL tells the rank, and the worker brings it to Redis."""
    server = stack.serve(redis_url="redis://127.0.0.1:1/0")
    other = Client(server, played.game, played.key)
    assert shown(played)["ann"] == {"car": 1}
    answer = patch(other, "ann", {"car": 2}, source="true")
    assert answer["entry"]["rank"] == 3 and answer["source"] in ("primary", "replica") and answer["standings"] == 4
    assert shown(other, answer["token"])["ann"] == {"car": 2}
    assert shown(played, answer["token"])["ann"] == {"car": 2}
    wait_until(lambda: shown(played)["ann"] == {"car": 2}, 30, "the worker has brought it to Redis")
    assert shown(played, facet="country:BR")["ann"] == {"car": 2}
    assert server.stop() == 0
    wait_until(lambda: compare.same(stack, played.game), 30, "Redis equals PostgreSQL")


def test_redis_stops_and_comes_back(stack, played):
    stack.redis_process.kill()
    try:
        token = patch(played, "ann", {"car": 2})["token"]
        assert shown(played, token)["ann"] == {"car": 2}
    finally:
        stack.redis_start()
    assert shown(played, token)["ann"] == {"car": 2}
    wait_until(lambda: shown(played)["ann"] == {"car": 2} and compare.same(stack, played.game), 60, "Redis equals PostgreSQL")


def test_it_is_no_submission(stack, played):
    def numbers():
        stats = played.read("/boards/b/stats")
        day = stats.pop("last")["day"]
        stats.pop("as_of", None)
        return stats, day["submissions"], day["new_entries"], played.read("/boards/b/stats/history")

    def events(kind):
        return stack.sql("select count(*), count(distinct v.moves) from ladder.score_event v join ladder.board b on b.id = v.board_id "
                         "join ladder.game g on g.id = b.game_id where g.name = %s and v.kind::text = %s", played.game, kind)[0]

    def columns(table):
        return stack.sql(f"select t.period_id, t.entries, t.total, t.squares from ladder.{table} t join ladder.period p on p.id = t.period_id "
                         "join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s order by 1", played.game)
    stack.cli("refresh")
    tally, before = columns("tally"), numbers()
    for i in range(3):
        patch(played, "ann", i)
    assert events("describe") == (3, 1) and events("submit")[0] == 3
    stack.cli("refresh")
    assert columns("tally") == tally
    wait_until(lambda: numbers() == before, 30, "the statistics are as before")
    assert stack.sql("select count(*) from ladder.tally_player t join ladder.board b on b.id = t.board_id join ladder.game g on g.id = b.game_id "
                     "where g.name = %s and t.player = 'ann' and t.submissions = 1", played.game) == [(1,)]
    # An erasure leaves nothing of it behind.
    assert played.request("DELETE", "/players/ann").status_code == 200
    assert events("describe")[0] == 0


def test_what_is_refused(stack, played):
    def answer(body, player="ann", client=played, headers=None, **parameters):
        return client.request("PATCH", f"/boards/b/players/{player}", body, headers=headers, **parameters)
    refused(answer({"metadata": 1}, player="nobody"), "player-not-found")
    refused(answer({}), "invalid-body", "/metadata")
    refused(answer({"metadata": 1, "score": 2}), "invalid-body", "/score")
    refused(answer({"metadata": "x" * 2050}), "invalid-body", "/metadata")
    refused(answer([]), "invalid-body")
    refused(answer({"metadata": 1}, window="weekly"), "invalid-parameter", "window")
    refused(answer({"metadata": 1}, window="week"), "invalid-parameter", "window")
    refused(answer({"metadata": 1}, headers={"If-Match": '"x"'}), "precondition-failed")
    reader = Client(played.server, played.game, stack.key(played.game, "read"))
    refused(answer({"metadata": 1}, client=reader), "forbidden")
    assert played.request("DELETE", "/boards/b/players/cy").status_code == 200
    refused(answer({"metadata": 1}, player="cy"), "player-not-found")
    assert shown(played) == {"bob": {"car": 1}, "ann": {"car": 1}}


def test_a_board_made_of_others(client):
    for name in ("b", "c"):
        client.put_board(name, windows=["all"])
    client.submit("b", "ann", 1)
    assert client.request("PUT", "/boards/c/combination", {"by": "sum", "of": [{"board": "b", "weight": 1}]}).status_code in (200, 201)
    refused(client.request("PATCH", "/boards/c/players/ann", {"metadata": 1}), "conflict")


def test_a_repeat_gets_the_first_answer(stack, played):
    headers = {"Idempotency-Key": "a"}
    first = patch(played, "ann", 2, headers=headers)
    patch(played, "ann", 3)
    repeat = played.request("PATCH", "/boards/b/players/ann", {"metadata": 2}, headers=headers)
    assert repeat.json() == first and repeat.headers["Idempotency-Replayed"] == "true"
    assert shown(played)["ann"] == 3
    # Where the first answer was lost, the repeat says what there is and undoes no later change.
    stack.sql("update ladder.idempotency_key k set status = null, body = null, headers = null, backend = 0 "
              "from ladder.game g where g.id = k.game_id and g.name = %s", played.game)
    again = played.request("PATCH", "/boards/b/players/ann", {"metadata": 2}, headers=headers)
    assert again.status_code == 200 and again.json()["entry"]["metadata"] == 3 and again.json()["standings"] == 0
    refused(played.request("PATCH", "/boards/b/players/ann", {"metadata": 4}, headers=headers), "idempotency-mismatch")
    unknown = [played.request("PATCH", "/boards/b/players/nobody", {"metadata": 2}, headers={"Idempotency-Key": "n"}) for _ in range(2)]
    assert [u.status_code for u in unknown] == [404, 404] and unknown[1].headers["Idempotency-Replayed"] == "true"


def test_racing_submissions_lose_nothing(stack, client):
    """Each submission counts once, whatever the metadata does meanwhile."""
    client.put_board("b", operator="sum", windows=["all"])
    client.submit("b", "ann", 1)
    faults = []

    def submits():
        own = Client(client.server, client.game, client.key)
        for i in range(60):
            own.submit("b", "ann", 1, metadata={"by": "submission", "i": i})

    def patches():
        own = Client(client.server, client.game, client.key)
        for i in range(60):
            answer = patch(own, "ann", {"by": "patch", "i": i})
            if answer["entry"]["metadata"] != {"by": "patch", "i": i}:
                faults.append(json.dumps(answer))
    threads = [threading.Thread(target=f) for f in (submits, submits, patches, patches)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults and client.read("/boards/b/players/ann")["score"] == 121
    wait_until(lambda: compare.same(stack, client.game), 30, "Redis equals PostgreSQL")
