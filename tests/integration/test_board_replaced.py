"""A PUT over a board that exists does not take away windows or facets that hold entries, unless it says so."""
import pytest

from checks import problem_is, refused


def would_lose(answer):
    """What the refusal names: (pointer, name, entries)."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body = answer.json()
    assert answer.status_code == problem_is(body, "conflict")
    assert '"force": true' in body["detail"] and "PATCH" in body["detail"], body
    for error in body["errors"]:
        assert str(error["entries"]) in error["detail"] and error["name"] in error["detail"], error
    return [(e["pointer"], e["name"], e["entries"]) for e in body["errors"]]


@pytest.fixture
def played(client):
    client.put_board("b", windows=["all", "daily", "hourly"], facets=["country", "clan"])
    client.submit("b", "ann", 5, facets={"country": "BR"})
    client.submit("b", "bob", 7, facets={"country": "AR", "clan": "red"})
    client.submit("b", "cy", 9)
    return client


def board_of(client):
    board = client.read("/boards/b")
    return board["windows"], board["facets"]


def test_what_holds_entries_is_not_dropped(played):
    assert would_lose(played.request("PUT", "/boards/b", {})) == [
        ("/windows", "daily", 3), ("/windows", "hourly", 3), ("/facets", "country", 6), ("/facets", "clan", 3)]
    assert would_lose(played.request("PUT", "/boards/b", {"windows": ["daily", "all"], "facets": ["clan", "league", "country"]})) == [
        ("/windows", "hourly", 3)]
    assert would_lose(played.request("PUT", "/boards/b", {"windows": ["hourly", "all", "daily"], "facets": ["country"], "force": False})) == [
        ("/facets", "clan", 3)]
    assert board_of(played) == (["all", "daily", "hourly"], ["country", "clan"])
    assert [e["player"] for e in played.read("/boards/b/top", facet="country:BR")["entries"]] == ["ann"]


def test_it_is_when_the_request_says_so(played):
    made = played.put_board("b", force=True)
    assert (made["windows"], made["facets"]) == (["all"], []) and "force" not in made
    assert [e["player"] for e in played.read("/boards/b/top")["entries"]] == ["cy", "bob", "ann"]


def test_patch_names_what_stays_and_is_not_refused(played):
    assert played.request("PATCH", "/boards/b", {"windows": ["all", "daily"], "facets": ["clan"]}).status_code == 200
    assert board_of(played) == (["all", "daily"], ["clan"])


def test_what_holds_none_goes(stack, client):
    client.put_board("b", windows=["all", "daily"], facets=["country"])
    client.submit("b", "ann", 5, facets={"country": "BR"})
    assert would_lose(client.request("PUT", "/boards/b", {})) == [("/windows", "daily", 1), ("/facets", "country", 2)]
    assert client.request("DELETE", "/boards/b/players/ann").json()["removed"]
    stack.sql("select ladder.period_ensure(array[b.id], array[now() - interval '3 days']) from ladder.board b join ladder.game g on g.id = b.game_id "
              "where g.name = %s", client.game)
    assert client.put_board("b")["windows"] == ["all"]


def test_a_conditional_put_is_held_to_it(played):
    tag = played.get("/boards/b").headers["ETag"]
    assert len(would_lose(played.request("PUT", "/boards/b", {}, headers={"If-Match": tag}))) == 4
    refused(played.request("PUT", "/boards/b", {}, headers={"If-Match": '"another"'}), "precondition-failed")
    refused(played.request("PUT", "/boards/b", {}, headers={"If-None-Match": "*"}), "precondition-failed")
    assert played.request("PUT", "/boards/b", {"force": True}, headers={"If-Match": tag}).status_code == 200
    assert board_of(played) == (["all"], [])


def test_a_refusal_is_kept_with_its_key(played):
    sent = {"Idempotency-Key": "smaller"}
    first = played.request("PUT", "/boards/b", {}, headers=sent)
    assert len(would_lose(first)) == 4
    played.put_board("b", force=True)
    again = played.request("PUT", "/boards/b", {}, headers=sent)
    assert again.content == first.content and again.headers["Idempotency-Replayed"] == "true"


def test_force_is_a_boolean(client):
    refused(client.request("PUT", "/boards/b", {"force": 1}), "invalid-body", "/force")


def test_another_conflict_is_named_first(played):
    refused(played.request("PUT", "/boards/b", {"order": "asc"}), "conflict", "/order")
