"""Cursors: pages that neither skip nor repeat what did not move, whatever happens between and during them."""
import base64
import random
import threading
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, urljoin

import pytest
import requests

from checks import refused
from harness import Client, wait_until


def walk(client, path, limit, between=None, **parameters):
    """Every entry from the first page on; between() runs after each page."""
    entries, page = [], client.read(path, limit=limit, **parameters)
    while True:
        entries += page["entries"]
        if not page["next"]:
            return entries
        if between:
            between(page)
        page = client.read(path, limit=limit, cursor=page["next"])


@pytest.fixture(scope="module")
def without_redis(stack, ladder):
    """A second server, which must answer from PostgreSQL."""
    server = stack.serve(redis_url="redis://127.0.0.1:1/0")
    yield server
    assert server.stop() == 0


@pytest.fixture(params=["redis", "postgresql"])
def read(request, client, without_redis):
    """A client that reads what Redis says, or what PostgreSQL says: both must page the same way."""
    return client if request.param == "redis" else Client(without_redis, client.game, client.key)


def seen_by(read, token):
    """From here on it reads at least what this token's write made."""
    read.session.headers["Ladder-Token"] = token


def fill(client, read, count=200, **definition):
    """Players in rank order, in ties of three."""
    client.put_board("b", **definition)
    players = [f"p{i:04}" for i in range(count)]
    submit(client, [dict(board="b", player=p, score=1000 - i // 3) for i, p in enumerate(players)], read)
    return players


def submit(client, rows, *readers):
    answer = client.request("POST", "/scores", {"scores": rows})
    assert answer.status_code == 200 and all(r["status"] == 200 for r in answer.json()["results"])
    for read in readers:
        if read is not client:
            seen_by(read, answer.json()["token"])
        else:  # a new standing is loaded first
            wait_until(lambda: client.read(f"/boards/{rows[0]['board']}/top", limit=1, source="true")["source"] == "redis", 10, "Redis has it")


def test_entries_that_do_not_move_come_once_under_concurrent_writers(client, read):
    """Others arrive above and below, move up, down and away all the time, on several connections."""
    still = [f"still{i:04}" for i in range(300)]
    client.put_board("b", operator="last")
    submit(client, [dict(board="b", player=p, score=10 * (300 - i // 3)) for i, p in enumerate(still)], read)
    submit(client, [dict(board="b", player=f"move{i:03}", score=random.randrange(3010)) for i in range(100)], read)
    stop = threading.Event()
    faults = []

    def write(seed):
        mine, dice = Client(client.server, client.game, client.key), random.Random(seed)
        try:
            while not stop.is_set():
                player = f"move{dice.randrange(100):03}"
                if dice.random() < 0.2:
                    mine.request("DELETE", f"/boards/b/players/{player}")
                else:
                    mine.submit("b", player, dice.randrange(3010))
        except Exception as fault:  # noqa: BLE001 -- told to the test below
            faults.append(fault)
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    try:
        for turn in range(24):
            entries = walk(read, "/boards/b/top", limit=random.choice([5, 7, 13, 33, 100, 299]))
            seen = [e["player"] for e in entries if e["player"].startswith("still")]
            assert seen == still, f"turn {turn}: {len(seen)} of {len(still)}, {len(set(seen))} different"
            keys = [(-e["score"], datetime.fromisoformat(e["achieved_at"]), e["player"]) for e in entries]
            assert keys == sorted(set(keys))
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert not faults


def test_who_ends_a_page_may_move_or_go(client, read):
    players = fill(client, read, operator="last")

    def between(page):
        last = page["entries"][-1]["player"]
        if int(last[1:]) % 2:
            answer = client.request("DELETE", f"/boards/b/players/{last}").json()
        else:
            answer = client.submit("b", last, 5000)
        if read is not client:
            seen_by(read, answer["token"])
    seen = [e["player"] for e in walk(read, "/boards/b/top", 7, between)]
    assert seen == players


def test_a_page_past_the_end_is_empty(client, read):
    players = fill(client, read, count=20)
    cursor = read.read("/boards/b/top", limit=10)["next"]
    for player in players[10:]:
        token = client.request("DELETE", f"/boards/b/players/{player}").json()["token"]
    page = read.request("GET", "/boards/b/top", headers={"Ladder-Token": token}, cursor=cursor).json()
    assert page["entries"] == [] and page["next"] is None
    page = read.request("GET", "/boards/b/top", headers={"Ladder-Token": token}, offset=10).json()
    assert page["entries"] == [] and page["next"] is None
    page = read.request("GET", "/boards/b/top", headers={"Ladder-Token": token}, limit=10).json()
    assert len(page["entries"]) == 10 and page["next"] is None, "no cursor into nothing"


@pytest.mark.parametrize("ranking", ["ordinal", "competition", "dense"])
@pytest.mark.parametrize("limit", [1, 2, 4, 7])
def test_ranks_go_on_over_the_edges_of_pages(client, read, ranking, limit):
    client.put_board("b")
    scores = [50, 40, 40, 30, 30, 30, 30, 30, 10, 10, 5]
    submit(client, [dict(board="b", player=f"p{i:02}", score=s) for i, s in enumerate(scores)], read)
    wanted = {"ordinal": lambda s, i: i + 1, "competition": lambda s, i: scores.index(s) + 1,
              "dense": lambda s, i: sorted(set(scores), reverse=True).index(s) + 1}[ranking]
    entries, page = [], read.read("/boards/b/top", limit=limit, ranking=ranking)
    while True:
        entries += page["entries"]
        if not page["next"]:
            break
        page = read.read("/boards/b/top", limit=limit, ranking=ranking, cursor=page["next"])
    assert [e["rank"] for e in entries] == [wanted(s, i) for i, s in enumerate(scores)]
    for i, player in enumerate(f"p{i:02}" for i in range(len(scores))):
        assert read.read(f"/boards/b/players/{player}", ranking=ranking)["rank"] == wanted(scores[i], i)
    around = read.read("/boards/b/players/p06/around", above=2, below=2, ranking=ranking)
    assert [e["rank"] for e in around["entries"]] == [wanted(scores[i], i) for i in range(4, 9)]
    part = read.read("/boards/b/range", min=10, max=30, ranking=ranking)
    assert [e["rank"] for e in part["entries"]] == [wanted(scores[i], i) for i in range(3, 10)]


def test_a_range_pages_within_its_bounds(client, read):
    for name, order in (("d", "desc"), ("a", "asc")):
        client.put_board(name, order=order)
        submit(client, [dict(board=name, player=f"p{i:03}", score=i // 2) for i in range(100)], read)
        entries = walk(read, f"/boards/{name}/range", 7, min=10, max=29)
        scores = [e["score"] for e in entries]
        assert sorted(scores) == [i // 2 for i in range(20, 60)] and scores == sorted(scores, reverse=order == "desc")
        assert entries[0]["rank"] == (41 if order == "desc" else 21)
        everything = walk(read, f"/boards/{name}/range", 30, min=-2**63, max=2**63 - 1)
        assert len(everything) == 100


def test_the_extremes_of_a_range(client, read):
    scores = [-2**63, -2**63 + 1, -1, 0, 1, 2**63 - 2, 2**63 - 1]
    for order in ("desc", "asc"):
        client.put_board(order, order=order)
        submit(client, [dict(board=order, player=f"p{i}", score=s) for i, s in enumerate(scores)], read)
        for low in scores:
            for high in scores:
                if low <= high:
                    page = read.read(f"/boards/{order}/range", min=low, max=high)
                    assert sorted(e["score"] for e in page["entries"]) == [s for s in scores if low <= s <= high], (order, low, high)


def test_a_cursor_outlives_its_period(client, stack):
    """After a reset it goes on in the period it began in, also when that has been closed and has left Redis."""
    client.put_board("b", windows=["daily", "all"])
    client.submit_many([dict(board="b", player=f"old{i:02}", score=i, at="2026-01-01T12:00:00Z") for i in range(20)])
    first = client.read("/boards/b/top", window="daily", period="2026-01-01T00:00:00Z", limit=5)
    client.submit_many([dict(board="b", player=f"new{i:02}", score=i) for i in range(20)])
    stack.sql("update ladder.period p set created_at = p.starts_at from ladder.board b join ladder.game g on g.id = b.game_id "
              "where b.id = p.board_id and g.name = %s and p.window_kind = 'daily'", client.game)

    def is_closed():
        stack.roll()
        return "closed" in [p["state"] for p in client.read("/boards/b/periods", window="daily")["periods"]]
    wait_until(is_closed, 10, "the old period is closed")
    page = client.read("/boards/b/top", cursor=first["next"], limit=100)
    assert [e["player"] for e in page["entries"]] == [f"old{i:02}" for i in reversed(range(15))]
    assert (page["window"], page["period"]) == ("daily", "2026-01-01T00:00:00Z") and page["entries"][0]["rank"] == 6
    assert {e["player"][:3] for e in client.read("/boards/b/top", window="daily")["entries"]} == {"new"}


def test_a_cursor_is_of_its_board_and_window(client):
    client.put_board("b", windows=["all", "daily"])
    client.put_board("c", windows=["all", "daily"])
    client.submit_many([dict(board=b, player=p, score=1) for b in "bc" for p in "xyz"])
    cursor = client.read("/boards/b/top", limit=1)["next"]
    refused(client.get("/boards/c/top", cursor=cursor), "invalid-cursor", "cursor")
    refused(client.get("/boards/b/top", cursor=cursor, window="daily"), "invalid-cursor", "cursor")
    assert client.get("/boards/b/top", cursor=cursor, window="all").status_code == 200
    daily = client.read("/boards/b/top", limit=1, window="daily")["next"]
    assert client.read("/boards/b/top", cursor=daily)["window"] == "daily", "it says where to go on, without a window too"
    for name, value in (("offset", 1), ("period", "current")):
        refused(client.get("/boards/b/top", cursor=cursor, **{name: value}), "invalid-parameter", name)
    for name in ("min", "max"):
        refused(client.get("/boards/b/range", cursor=cursor, **{name: 1}), "invalid-parameter", name)
    client.request("DELETE", "/boards/b")
    client.put_board("b", windows=["all", "daily"])
    client.submit_many([dict(board="b", player=p, score=1) for p in "uvw"])
    refused(client.get("/boards/b/top", cursor=cursor), "invalid-cursor", "cursor")


def test_a_cursor_cannot_be_made_up(client, stack):
    client.put_board("b")
    client.submit_many([dict(board="b", player=p, score=1) for p in ("a", "player with a long name", "ü")])
    cursor = client.read("/boards/b/top", limit=1)["next"]
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for at in range(len(raw)):
        raw[at] ^= 1
        forged = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
        refused(client.get("/boards/b/top", cursor=forged), "invalid-cursor", "cursor")
        raw[at] ^= 1
    for forged in ("", "A", "A" * 100, "A" * 400, cursor[:-1], cursor + "A", cursor + "=", cursor.upper(), "ü", "%", " " + cursor, "\n"):
        refused(client.get("/boards/b/top", cursor=forged), "invalid-cursor", "cursor")
    assert client.get("/boards/b/top", cursor=cursor).status_code == 200


def test_a_cursor_is_good_on_every_server_of_one_secret(client, stack):
    client.put_board("b")
    submit(client, [dict(board="b", player=p, score=1) for p in "abc"])
    token = client.submit("b", "d", 1)["token"]
    cursor = client.read("/boards/b/top", limit=2)["next"]
    for secret, status in (("integration-test-secret", 200), ("another secret of a server", 400)):
        server = stack.serve(server_secret=secret)
        answer = Client(server, client.game, client.key).request("GET", "/boards/b/top", cursor=cursor,
                                                                 headers={"Ladder-Token": token} if status == 200 else {})
        assert answer.status_code == status, answer.text
        if status == 200:
            assert [e["player"] for e in answer.json()["entries"]] == ["c", "d"]
        assert server.stop() == 0


def test_the_list_of_boards_goes_on_after_a_name(client):
    names = [f"b{i:02}" for i in range(10)] + ["B", "Z9", "a.b", "a_b", "a-b"]
    for name in names:
        client.put_board(name)
    seen, cursor = [], {}
    while True:
        page = client.read("/boards", limit=4, **cursor)
        seen += [b["name"] for b in page["boards"]]
        if not page["next"]:
            break
        cursor = {"cursor": page["next"]}
    assert seen == sorted(names) and page["next"] is None
    for limit in (0, -1, 1001, "x"):
        refused(client.get("/boards", limit=limit), "invalid-parameter", "limit")


def test_the_pages_above_came_from_where_they_claim(client, read, without_redis):
    fill(client, read, count=5)
    source = read.read("/boards/b/top", source="true")["source"]
    assert source in ("replica", "primary") if read is not client else source == "redis"


# ---- what a cursor holds besides its place ----

def tied(client, read):
    """Six players in ties of two: dense ranks 1, 1, 2, 2, 3, 3."""
    client.put_board("b")
    submit(client, [dict(board="b", player=f"p{i}", score=100 - i // 2, subscore=0, metadata={"at": i}) for i in range(6)], read)


def test_a_cursor_alone_goes_on_with_the_view_of_its_page(client, read):
    tied(client, read)
    asked = dict(ranking="competition", fields="metadata,total", integers="string", source="true")
    whole = read.read("/boards/b/top", limit=6, **asked)
    for path, more in (("/boards/b/top", {}), ("/boards/b/range", dict(min=0, max=1000))):
        page, entries = read.read(path, limit=2, **asked, **more), []
        while True:
            assert page["total"] == 6 and page["source"] and len(page["entries"]) == 2
            entries += page["entries"]
            if not page["next"]:
                break
            page = read.read(path, cursor=page["next"])
        assert entries == whole["entries"], path
    assert [e["rank"] for e in entries] == [1, 1, 3, 3, 5, 5]
    assert set(entries[0]) == {"rank", "player", "score", "metadata"} and entries[0]["score"] == "100"


def test_what_differs_from_the_cursor_is_refused(client, read):
    tied(client, read)
    cursor = read.read("/boards/b/top", limit=2, ranking="dense", fields="metadata")["next"]
    same = read.read("/boards/b/top", cursor=cursor)
    assert read.read("/boards/b/top", cursor=cursor, ranking="dense", fields="metadata", integers="number", source="false") == same
    assert len(read.read("/boards/b/top", cursor=cursor, limit=1)["entries"]) == 1
    for name, value in (("ranking", "ordinal"), ("fields", "subscore"), ("fields", "metadata,total"), ("integers", "string"), ("source", "true")):
        problem = read.request("GET", "/boards/b/top", cursor=cursor, **{name: value})
        assert problem.status_code == 400 and problem.json()["type"] == "urn:ladder:problem:invalid-cursor", (name, value)
        assert problem.json()["errors"][0]["parameter"] == name


def next_link(answer):
    """The URL of the Link header's rel="next"; None without one."""
    links = requests.utils.parse_header_links(answer.headers.get("Link", ""))
    return next((urljoin(answer.url, link["url"]) for link in links if link.get("rel") == "next"), None)


def walk_links(read, path, item, **parameters):
    """What a client sees that follows nothing but Link: one list of items a page."""
    answer, pages = read.request("GET", path, **parameters), []
    while True:
        assert answer.status_code == 200, answer.text
        pages.append(answer.json()[item])
        url = next_link(answer)
        assert (url is None) == (answer.json()["next"] is None)
        if url is None:
            return pages
        answer = read.request("GET", url)


def test_link_names_the_next_page(client, read):
    tied(client, read)
    asked = dict(limit=2, ranking="competition", fields="metadata")
    for path, more in (("/boards/b/top", {}), ("/boards/b/top", dict(offset=1)), ("/boards/b/range", dict(min=0, max=1000))):
        pages = walk_links(read, path, "entries", **asked, **more)
        assert sum(pages, []) == read.read(path, **asked | more | dict(limit=6))["entries"]
    for _ in range(3):  # made, remembered and compressed alike; HEAD as GET; a 304 has what the 200 has
        answer = read.request("GET", "/boards/b/top", **asked)
        head = read.request("HEAD", "/boards/b/top", **asked)
        unchanged = read.request("GET", "/boards/b/top", headers={"If-None-Match": answer.headers["ETag"]}, **asked)
        assert unchanged.status_code == 304
        assert answer.headers["Link"] == head.headers["Link"] == unchanged.headers["Link"]


def test_link_of_lists_keeps_the_parameters(client):
    for i in range(5):
        client.put_board(f"b{i}", windows=["all", "daily"])
        client.submit(f"b{i}", "ann", 5)
    assert [b["name"] for page in walk_links(client, "/boards", "boards", limit=2) for b in page] == [f"b{i}" for i in range(5)]
    pages = walk_links(client, "/players/ann/boards", "boards", limit=2, window="daily")
    assert [len(page) for page in pages] == [2, 2, 1] and {b["window"] for page in pages for b in page} == {"daily"}
    awkward = 'a"<b>\\c'
    for i in range(3):
        client.submit(f"b{i}", awkward, 5)
    assert [len(page) for page in walk_links(client, f"/players/{quote(awkward, safe='<>')}/boards", "boards", limit=2, window="all")] == [2, 1]


def test_link_of_periods_keeps_the_window(client):
    client.put_board("b", windows=["all", "hourly"])
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    for back in range(1, 4):
        client.submit("b", "ann", back, at=(hour - timedelta(hours=back)).isoformat().replace("+00:00", "Z"))

    def listed():
        return client.read("/boards/b/periods", window="hourly")["periods"]

    def walked():
        """The worker may open this hour's period meanwhile."""
        before = listed()
        pages = walk_links(client, "/boards/b/periods", "periods", limit=1, window="hourly")
        return before == listed() and (before, [period for page in pages for period in page])
    whole, one_by_one = wait_until(walked, 20, "no period is opened meanwhile")
    assert one_by_one == whole and len(whole) > 1
