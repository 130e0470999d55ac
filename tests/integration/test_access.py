"""Who may do what: every route, with every kind of key; and what a resource answers to methods it does not have."""
import json
import re
import socket

import pytest

from checks import refused
from harness import ROOT, Client, wait_until

SCORE = {"player": "ann", "score": 1}
BATCH = {"scores": [{"board": "b", **SCORE}]}
LINE = b'{"board":"b","player":"ann","score":1}\n'

# Every route under a game: (method, path, body, the least scope, status when allowed). Reads of a board may be public.
ROUTES = [
    ("GET", "/boards", None, "read", 200),
    ("PUT", "/boards/new", {}, "admin", 201),
    ("GET", "/boards/b", None, "read", 200),
    ("PATCH", "/boards/b", {"score_max": 99}, "admin", 200),
    ("DELETE", "/boards/gone", None, "admin", 204),
    ("POST", "/boards/b/scores", SCORE, "write", 200),
    ("POST", "/scores", BATCH, "write", 200),
    ("POST", "/scores", LINE, "write", 200),
    ("GET", "/boards/b/top", None, "read", 200),
    ("GET", "/boards/b/range", None, "read", 200),
    ("GET", "/boards/b/at?rank=1", None, "read", 200),
    ("GET", "/boards/b/periods", None, "read", 200),
    ("GET", "/boards/b/stats", None, "read", 200),
    ("GET", "/boards/b/stats/history", None, "read", 200),
    ("GET", "/boards/b/compare", None, "read", 200),
    ("GET", "/boards/b/players/ann/history", None, "read", 200),
    ("GET", "/players/ann/boards", None, "read", 200),
    ("GET", "/players/ann/stats", None, "read", 200),
    ("GET", "/stats", None, "read", 200),
    ("GET", "/hall-of-fame", None, "read", 200),
    ("PUT", "/boards/b/combination", {"by": "sum", "of": [{"board": "gone"}]}, "admin", 409),
    ("GET", "/boards/b/combination", None, "read", 404),
    ("DELETE", "/boards/b/combination", None, "admin", 204),
    ("GET", "/boards/b/players?ids=ann", None, "read", 200),
    ("GET", "/boards/b/players/ann", None, "read", 200),
    ("GET", "/boards/b/players/ann/around", None, "read", 200),
    ("PATCH", "/boards/b/players/ann", {"metadata": [1]}, "write", 200),
    ("DELETE", "/boards/b/players/bob", None, "write", 200),
    ("DELETE", "/players/bob", None, "admin", 200),
    ("DELETE", "/cache", None, "admin", 200),
    ("DELETE", "/cache", None, "admin", 200),
]
SCOPES = ["none", "read", "write", "admin"]
NOBODY = ["no key", "made up", "revoked", "basic", "empty"]


@pytest.fixture(scope="module")
def world(stack, ladder):
    """One game with a key of each scope; another with its admin."""
    game, other = stack.new_game(), stack.new_game()
    keys = {scope: Client(ladder, game, stack.key(game, scope)) for scope in SCOPES[1:]}
    keys["no key"] = Client(ladder, game)
    keys["made up"] = Client(ladder, game, keys["admin"].key[:-1] + ("a" if keys["admin"].key[-1] != "a" else "b"))
    keys["another game's"] = Client(ladder, game, stack.key(other))
    keys["revoked"] = Client(ladder, game, stack.key(game))
    for name, header in (("basic", "Basic YTpi"), ("empty", "Bearer ")):
        keys[name] = Client(ladder, game)
        keys[name].session.headers["Authorization"] = header
    stack.cli("key", "revoke", keys["revoked"].key.split("_")[1])
    for name in ("b", "gone"):
        keys["admin"].put_board(name)
        keys["admin"].submit(name, "ann", 1)
    keys["admin"].put_board("open", public=True)
    keys["admin"].submit("open", "ann", 1)
    return keys


def ask(client, method, path, body):
    return client.request(method, path, body, headers={"Content-Type": "application/x-ndjson"} if body is LINE else {})


def test_the_table_is_whole():
    """ROUTES above has every route that src/api/routes.c has under a game."""
    text = (ROOT / "src" / "api" / "routes.c").read_text()
    paths = {"GAME": "", "BOARD": "/boards/{board}"}
    known = {(method, paths[base] + (rest or "")) for method, base, rest in
             re.findall(r'\{HTTP_(\w+), (GAME|BOARD)(?: "([^"]*)")?,', text)}
    names = [(re.compile("^/boards/(b|new|gone)(?=/|$)"), "/boards/{board}"), (re.compile("/players/(ann|bob)"), "/players/{player}")]
    tested = set()
    for method, path, *_ in ROUTES:
        path = path.split("?")[0]
        for pattern, replacement in names:
            path = pattern.sub(replacement, path)
        tested.add((method, path))
    assert tested | {("POST", "/query")} == known, "a query's key is each of its paths' own affair: test_query.py"


@pytest.mark.parametrize("method, path, body, scope, status", ROUTES, ids=[f"{r[0]} {r[1]}{' lines' if r[2] is LINE else ''}" for r in ROUTES])
def test_every_route_with_every_key(world, method, path, body, scope, status):
    for name in NOBODY:
        refused(ask(world[name], method, path, body), "unauthorized")
    refused(ask(world["another game's"], method, path, body), "forbidden")
    for key in SCOPES[1:]:
        answer = ask(world[key], method, path, body)
        if SCOPES.index(key) >= SCOPES.index(scope):
            assert answer.status_code == status or path in ("/boards/new", "/boards/gone"), (key, answer.text)
        else:
            refused(answer, "forbidden")


def test_a_key_of_another_game_cannot_probe(world, ladder, stack):
    """What exists there and what does not look the same; so do games."""
    stranger = world["another game's"]
    for path in ("/boards/b/top", "/boards/nope/top", "/boards/open/top"):
        there = refused(stranger.get(path), "forbidden").json()
        assert there == refused(Client(ladder, "nope", stranger.key).get(path), "forbidden").json()
    nobody = world["no key"]
    there = refused(nobody.get("/boards/nope/top"), "unauthorized")
    assert there.status_code == refused(Client(ladder, "nope").get("/boards/b/top"), "unauthorized").status_code


def seen(answer):
    """All that a client can compare of an answer, except what differs between any two answers."""
    changing = {"Date", "Ladder-Request-Id", "Server-Timing"}
    return answer.status_code, {name: value for name, value in answer.headers.items() if name not in changing}, answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [route[1] for route in ROUTES if route[0] == "GET"])
@pytest.mark.parametrize("name", NOBODY)
def test_without_a_key_private_and_absent_look_the_same(world, ladder, name, method, path):
    """Neither a board nor a game can be probed without a valid key."""
    nobody = world[name]
    private = refused(nobody.request("GET", path), "unauthorized")
    absent = path.replace("/boards/b", "/boards/nope")
    stranger = Client(ladder, "nope", nobody.key)
    stranger.session.headers.update(nobody.session.headers)
    for client, other in ((nobody, absent), (stranger, path), (stranger, absent)):
        assert seen(client.request(method, other)) == seen(nobody.request(method, path)), (client.game, other)
    results = nobody.request("POST", "/query", {"queries": [path, absent]}).json()["results"]
    results += stranger.request("POST", "/query", {"queries": [path, absent]}).json()["results"]
    assert results == [{"status": 401, "body": private.json()}] * 4, results


@pytest.mark.parametrize("method, path, body, scope, status", ROUTES, ids=[f"{r[0]} {r[1]}{' lines' if r[2] is LINE else ''}" for r in ROUTES])
def test_a_public_board_is_for_reading(world, method, path, body, scope, status):
    nobody = world["no key"]
    if not re.match(r"^/boards/b(/|$)", path):
        refused(ask(nobody, method, path, body), "unauthorized")
        return
    path = path.replace("/boards/b", "/boards/open")
    if method == "GET":
        assert ask(nobody, method, path, body).status_code == status
        refused(ask(world["made up"], method, path, body), "unauthorized")  # a wrong key is told, not overlooked
        refused(ask(world["another game's"], method, path, body), "forbidden")
    else:
        refused(ask(nobody, method, path, body), "unauthorized")


def test_public_can_be_taken_back(client, ladder):
    nobody = Client(ladder, client.game)
    client.put_board("b")
    refused(nobody.get("/boards/b/top"), "unauthorized")
    client.request("PATCH", "/boards/b", {"public": True})
    assert nobody.get("/boards/b/top").status_code == 200
    client.request("PATCH", "/boards/b", {"public": False})
    wait_until(lambda: nobody.get("/boards/b/top").status_code == 401, 5, "the board is closed to the public")
    client.request("PATCH", "/boards/b", {"public": True})
    client.request("DELETE", "/boards/b")
    client.put_board("b")
    wait_until(lambda: nobody.get("/boards/b/top").status_code == 401, 5, "the board made again is its own")


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}"])
@pytest.mark.parametrize("path, body", [("/boards/b/scores", SCORE), ("/scores", LINE)])
def test_the_scheme_in_any_case(world, header, path, body):
    client = world["no key"]
    headers = {"Authorization": header.format(world["write"].key)}
    if body is LINE:
        headers["Content-Type"] = "application/x-ndjson"
    assert client.request("POST", path, body, headers=headers).status_code == 200


def test_methods_that_are_not_there(world):
    """405 with Allow on each path, before the key is looked at."""
    methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]
    there = {}
    for method, path, *_ in ROUTES:
        there.setdefault(path.split("?")[0], set()).add(method)
    there["/boards/b"] |= there.pop("/boards/new") | there.pop("/boards/gone")
    there.setdefault("/boards/b/players/ann", set()).update(there.pop("/boards/b/players/bob"))
    for path, known in there.items():
        known |= {"OPTIONS"} | ({"HEAD"} if "GET" in known else set())
        for method in methods:
            if method == "OPTIONS":
                answer = world["no key"].request(method, path)
                assert answer.status_code == 204 and set(answer.headers["Allow"].split(", ")) == known
            elif method not in known:
                answer = world["no key"].request(method, path, {} if method in ("PUT", "POST", "PATCH") else None)
                assert answer.status_code == 405 and set(answer.headers["Allow"].split(", ")) == known, (method, path)
                if method != "HEAD":
                    refused(answer, "method-not-allowed")
    for method in ("TRACE", "PROPFIND", "BREW", "get"):
        answer = raw(world["admin"], method, "/boards/b")
        assert answer[0] == 405 and "GET" in answer[1]["allow"], method


def raw(client, method, path, headers=""):
    """A request that no library would send: (status, headers, body)."""
    with socket.create_connection(("127.0.0.1", client.server.port), 10) as s:
        s.sendall(f"{method} /v1/games/{client.game}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
                  f"Connection: close\r\n{headers}\r\n".encode())
        data = b"".join(iter(lambda: s.recv(65536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}, body


@pytest.mark.parametrize("path", ["", "/nothing", "/boards/b/nothing", "/boards/b/players/ann/around/x", "/Boards", "/boards/b/top/x"])
def test_what_is_not_there(world, path):
    refused(world["admin"].request("GET", path), "not-found")


@pytest.mark.parametrize("path", ["//boards", "/boards//top", "/boards/b/players//around"])
def test_empty_segments(world, path):
    refused(world["admin"].request("GET", path), "bad-request")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_a_trailing_slash_is_another_path(world, method):
    """A library that takes `..` out of /boards/b/players/.. must not end up at the board."""
    for path in ("/boards/b/", "/boards/b/players/", "/boards/"):
        status, _, _ = raw(world["admin"], method, path, "Content-Length: 0\r\n" if method == "PUT" else "")
        assert status in (400, 404, 405)
    assert world["admin"].get("/boards/b").status_code == 200


def test_dots_do_not_climb(world):
    """The ids . and .. stand in a path escaped, and only so."""
    admin = world["admin"]
    for player in (".", ".."):
        admin.submit("b", player, 1)
        assert [e["player"] for e in admin.read("/boards/b/players", ids=player)["entries"]] == [player]
        asked = admin.request("POST", "/query", {"queries": [f"/boards/b/players/{player.replace('.', '%2e')}"]}).json()
        assert asked["results"][0]["body"]["player"] == player
        assert raw(admin, "GET", f"/boards/b/players/{player}/around")[0] == 400
        assert raw(admin, "DELETE", f"/boards/b/players/{player}")[0] == 400
        spelled = player.replace(".", "%2E")
        assert raw(admin, "GET", f"/boards/b/players/{spelled}/around?above=0&below=0")[0] == 200
        assert raw(admin, "DELETE", f"/boards/b/players/{spelled}")[0] == 200
        assert admin.read("/boards/b/players", ids=player)["not_found"] == [player]
    assert admin.get("/boards/b").status_code == 200
    for player in ("...", ".a", "..b", "a..", ". ."):
        admin.submit("b", player, 1)
        assert admin.read(f"/boards/b/players/{player}")["player"] == player
        assert admin.request("DELETE", f"/boards/b/players/{player}").json()["removed"] is True


def test_every_query_parameter_that_is_not_known_is_refused(world):
    for method, path, body, *_ in ROUTES:
        join = "&" if "?" in path else "?"
        for name in ("nonsense", "Limit", "%20limit", "_", "callback"):
            refused(ask(world["admin"], method, path + join + name + "=1", body), "invalid-parameter")
    before = world["admin"].get("/boards/b")
    assert before.status_code == 200, "nothing of it happened"
    refused(world["admin"].get("/boards/b/top?limit=1&limit=2"), "invalid-parameter", "limit")


def test_keys_are_not_stored(world, stack):
    """Only their hash is."""
    rows = stack.sql("select to_jsonb(k)::text from ladder.api_key k")
    secret = world["admin"].key.split("_", 2)[2]
    assert len(rows) >= 5 and not any(secret in row[0] for row in rows)
