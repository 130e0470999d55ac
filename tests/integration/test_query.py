"""POST /query: several GETs in one request, each as if it had come alone."""
import pytest

from harness import Client


@pytest.fixture(scope="module")
def game(stack, ladder):
    name = stack.new_game()
    client = Client(ladder, name, stack.key(name))
    client.put_board("open", public=True)
    client.put_board("closed")
    client.submit_many([dict(board=board, player=f"p{i}", score=i) for board in ("open", "closed") for i in range(50)])
    return client


def query(client, *paths, **more):
    return client.request("POST", "/query", {"queries": list(paths)}, **more)


def test_each_answer_is_what_a_get_alone_gives(game):
    paths = ["/boards/open/top?limit=3", "/boards/closed/players/p7", "/boards/closed/players/p7/around?above=1&below=1",
             "/boards/open/players?ids=p1,p2,nobody", "/boards/closed/range?min=10&max=12", "/boards/open/at?rank=5", "/boards",
             "/boards/open", "/boards/open/players/nobody", "/boards/none/top", "/boards/open/top?limit=0", "/boards/open/top?wrong=1"]
    results = query(game, *paths).json()["results"]
    assert len(results) == len(paths)
    for path, result in zip(paths, results):
        alone = game.get(path)
        assert result == {"status": alone.status_code, "body": alone.json()}, path
    assert [r["status"] for r in results] == [200] * 8 + [404, 404, 400, 400]


def test_the_key_is_each_query_s_own_affair(game, ladder):
    anonymous = Client(ladder, game.game)
    statuses = [r["status"] for r in query(anonymous, "/boards/open/top", "/boards/closed/top", "/boards").json()["results"]]
    assert statuses == [200, 401, 401]


def test_a_query_sees_what_was_written_before(game):
    for i in range(50):
        token = game.submit("open", "mover", 1000 + i)["token"]
        body = query(game, "/boards/open/top?limit=1", "/boards/open/players/mover", headers={"Ladder-Token": token}).json()
        assert [r["body"].get("score", r["body"].get("entries", [{}])[0].get("score")) for r in body["results"]] == [1000 + i] * 2


def test_its_answers_come_from_the_same_memory(game, ladder):
    path = "/boards/open/top?limit=7"
    game.get(path)
    before = game.get(path).headers["Ladder-Cache"]
    assert query(game, path, path).json()["results"][0]["status"] == 200
    assert before == "hit"


@pytest.mark.parametrize("body, field", [
    ({}, "/queries"), ({"queries": "x"}, "/queries"), ({"queries": ["/boards", 5]}, "/queries"), ({"queries": ["/boards"] * 101}, "/queries"), ({"queries": [], "more": 1}, "/more"),
])
def test_a_bad_body_names_its_fault(game, body, field):
    answer = game.request("POST", "/query", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"].startswith(field)


def test_a_malformed_path_is_that_query_s_own_problem(game):
    paths = ["/boards/open/top?limit=1", "boards", "/boards/open", "", "/boards/%zz", "?limit=1", "/boards/open/players/p7"]
    answer = game.request("POST", "/query", {"queries": paths})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [r["status"] for r in results] == [200, 400, 200, 400, 400, 400, 200]
    for i in (1, 3, 5):
        assert results[i]["body"]["errors"][0]["pointer"] == f"/queries/{i}"
    assert [r["status"] for r in query(game, "boards", "").json()["results"]] == [400, 400]


def test_none_and_many(game):
    assert query(game).json() == {"results": []}
    results = query(game, *["/boards/open/top?limit=1000"] * 100).json()["results"]
    assert len(results) == 100 and len({str(r) for r in results}) == 1


def test_a_target_can_not_leave_its_game_or_break_out(game):
    for path in ("/../other/boards", "/boards/open/top?limit=1 HTTP/1.1\r\nHost: x", "/boards/open/%00", "/boards/%ff", "/query", "/scores"):
        result = query(game, path).json()["results"][0]
        assert result["status"] in (400, 404, 405), (path, result)
