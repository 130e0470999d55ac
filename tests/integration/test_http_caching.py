"""Every MUST of RFC 9110 section 13 (conditional requests) and RFC 9111 section 5 (caching fields) that binds an origin
server, each with its case; then conditional changes of boards, racing ones too.

The table below quotes each requirement in short and names the test that shows it; a test checks that they exist and that
none is left out.
"""
import concurrent.futures
import email.utils
import gzip
import re
import time

import pytest

from harness import Client, wait_until

REQUIREMENTS = {
    # RFC 9110, 13.1.1 If-Match
    "13.1.1 'An origin server MUST use the strong comparison function when comparing entity tags for If-Match'": "test_if_match_compares_strongly",
    "13.1.1 '\"*\": the condition is false if there is no current representation'": "test_if_match_star_needs_a_board",
    "13.1.1 'An origin server that evaluates an If-Match condition MUST NOT perform the requested method if [it] evaluates to false'":
        "test_if_match_false_changes_nothing",
    "13.1.1 the same, where nothing can be compared": "test_writes_that_compare_nothing_refuse_a_condition",
    # 13.1.2 If-None-Match
    "13.1.2 'A recipient MUST use the weak comparison function when comparing entity tags for If-None-Match'": "test_if_none_match_compares_weakly",
    "13.1.2 'MUST NOT perform the requested method if the condition evaluates to false; instead MUST respond with 304 for GET or HEAD'":
        "test_if_none_match_false_is_304_for_get_and_head",
    "13.1.2 '… or 412 for all other request methods'": "test_if_none_match_false_is_412_for_others",
    "13.1.2 'If-None-Match = \"*\" / #entity-tag', lists of several lines too (5.3)": "test_lists_and_several_lines",
    # 13.1.3 If-Modified-Since
    "13.1.3 'A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match header field'": "test_if_modified_since_is_ignored_beside_if_none_match",
    "13.1.3 'MUST ignore the If-Modified-Since header field if the received field value is not a valid HTTP-date, [or] the method is neither GET nor HEAD'":
        "test_if_modified_since_that_is_no_date_or_no_read_is_ignored",
    "13.1.3 'MUST ignore … if the resource does not have a modification date available'": "test_dates_are_ignored_where_there_is_none",
    "13.1.3 'MUST interpret the If-Modified-Since field value's timestamp in terms of the origin server's clock'": "test_if_modified_since",
    # 13.1.4 If-Unmodified-Since
    "13.1.4 'A recipient MUST ignore If-Unmodified-Since if the request contains an If-Match header field'": "test_if_unmodified_since_is_ignored_beside_if_match",
    "13.1.4 'MUST ignore the If-Unmodified-Since header field if the received field value is not a valid HTTP-date'": "test_if_unmodified_since",
    "13.1.4 'MUST ignore … if the resource does not have a modification date available'": "test_dates_are_ignored_where_there_is_none",
    "13.1.4 'An origin server that evaluates an If-Unmodified-Since condition MUST NOT perform the requested method if [it] evaluates to false'":
        "test_if_unmodified_since",
    # 13.1.5 If-Range
    "13.1.5 'A server MUST ignore an If-Range header field received in a request that does not contain a Range header field'": "test_ranges_are_ignored",
    "13.1.5 'An origin server MUST ignore an If-Range … for a target resource that does not support Range requests'": "test_ranges_are_ignored",
    # 13.2.1 when to evaluate
    "13.2.1 'A server MUST ignore all received preconditions if its response … without those conditions … would have been other than a 2xx or 412'":
        "test_conditions_do_not_hide_errors",
    "13.2.1 'a server MUST ignore the conditional request header fields … with a request method that does not involve the selection … of a … representation'":
        "test_options_ignores_conditions",
    "13.2.1 'a server MUST evaluate received request preconditions after it has successfully performed its normal request checks'": "test_conditions_do_not_hide_errors",
    # 13.2.2 precedence
    "13.2.2 'a recipient cache or origin server MUST evaluate the … preconditions … in the following order'": "test_order_of_evaluation",
    # What a 304 carries, and validators (15.4.5, 8.8): the answers of section 13
    "15.4.5 'MUST generate … Content-Location, Date, ETag, and Vary; Cache-Control and Expires [of the 200]'": "test_a_304_has_the_fields_of_its_200",
    "8.8.2.1 'An origin server MUST NOT generate a Last-Modified date that is later than the server's time of message origination'": "test_last_modified_is_never_later_than_date",
    "8.8.3.3 / 8.8.1 strong validators: another coding, another tag": "test_each_coding_has_its_tag",
    "9.3.4 'An origin server MUST NOT send a validator field … in a successful response to PUT unless the … representation data was saved without any transformation'":
        "test_put_has_no_validator",
    # RFC 9111, 5.1 and 5.2
    "9111 5.1 'The presence of an Age header field implies that the response was not generated … by the origin server'": "test_no_age_expires_pragma_warning",
    "9111 5.2.2.1 'A sender MUST NOT generate the quoted-string form [of max-age]'": "test_cache_control_grammar",
    "9111 5.2 'directives … token form of the argument syntax', 1.2.2 delta-seconds": "test_cache_control_grammar",
    "9111 5.2.2.7 'private … the response MUST NOT be stored by a shared cache' on all that a key opened": "test_what_a_key_opens_is_private",
    "9111 5.2.2.5 'no-store … MUST NOT store': errors, writes, tokens": "test_what_a_key_opens_is_private",
    "9111 5.2.2.4, 5.2.2.2 'no-cache', 'must-revalidate': never reused beyond what the board allows": "test_cache_control_by_board",
    "9111 5.3 'An origin server without a clock MUST NOT generate an Expires header field'; 5.4 Pragma, 5.5 Warning: obsolete": "test_no_age_expires_pragma_warning",
    "9111 4.1 Vary: what else the answer depends on": "test_vary",
}


def test_each_requirement_has_its_case():
    for requirement, name in REQUIREMENTS.items():
        assert callable(globals().get(name)), requirement
    named = set(REQUIREMENTS.values()) | {"test_each_requirement_has_its_case"}
    boards = {name for name in globals() if name.startswith("test_board")}
    assert {name for name in globals() if name.startswith("test_")} == named | boards


@pytest.fixture
def everyone(ladder, client):
    """Without a key, on a public board with two entries."""
    client.put_board("b", public=True)
    client.submit_many([dict(board="b", player=f"player-{i}", score=i) for i in range(50)])
    everyone = Client(ladder, client.game)
    # Answered from Redis, which knows when it changed.
    wait_until(lambda: "Last-Modified" in everyone.get(TOP).headers, 5)
    return everyone


TOP = "/boards/b/top"


def tag_of(client, path=TOP):
    return client.get(path).headers["ETag"]


def ask(client, path=TOP, method="GET", body=None, **headers):
    return client.request(method, path, body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def http_date(seconds):
    return email.utils.formatdate(seconds, usegmt=True)


def changed_at(answer):
    return email.utils.parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()


# ---- If-Match ----

def test_if_match_compares_strongly(everyone, client):
    tag = tag_of(everyone)
    assert ask(everyone, If_Match=tag).status_code == 200
    assert ask(everyone, If_Match="W/" + tag).status_code == 412
    board = tag_of(client, "/boards/b")
    assert ask(client, "/boards/b", "PATCH", {"score_max": 100}, If_Match="W/" + board).status_code == 412
    assert ask(client, "/boards/b", "PATCH", {"score_max": 100}, If_Match=board).status_code == 200


def test_if_match_star_needs_a_board(client):
    refused = ask(client, "/boards/new", "PUT", {}, If_Match="*")
    assert refused.status_code == 412 and refused.json()["type"] == "urn:ladder:problem:precondition-failed"
    assert client.get("/boards/new").status_code == 404
    client.put_board("new")
    assert ask(client, "/boards/new", "PUT", {"score_max": 5}, If_Match="*").status_code == 200


@pytest.mark.parametrize("method, body", [("PUT", {"score_max": 100}), ("PATCH", {"score_max": 100}), ("DELETE", None)])
def test_if_match_false_changes_nothing(client, method, body):
    client.put_board("b")
    before = client.read("/boards/b")
    for condition in ('"other"', '"a", "b"', "", "garbage", '"open'):
        answer = ask(client, "/boards/b", method, body, If_Match=condition)
        assert answer.status_code == 412, condition
        assert answer.json()["type"] == "urn:ladder:problem:precondition-failed" and answer.headers["Cache-Control"] in ("no-store", "private, no-store")
    assert client.read("/boards/b") == before
    assert ask(client, "/boards/b", method, body, If_Match=f'"x", {tag_of(client, "/boards/b")}').status_code in (200, 204)


def test_writes_that_compare_nothing_refuse_a_condition(everyone, client):
    for method, path, body in (("POST", "/boards/b/scores", {"player": "new", "score": 1}), ("POST", "/scores", {"scores": []}),
                               ("DELETE", "/boards/b/players/player-1", None), ("DELETE", "/players/player-1", None)):
        for headers in ({"If_Match": "*"}, {"If_Match": '"x"'}, {"If_None_Match": "*"}):
            assert ask(client, path, method, body, **headers).status_code == 412, (method, path)
    stream = client.request("POST", "/scores", b'{"board": "b", "player": "new", "score": 1}\n', headers={"Content-Type": "application/x-ndjson", "If-Match": '"x"'})
    assert stream.status_code == 412
    assert client.read("/boards/b/players/player-1")["total"] == 50 and client.get("/boards/b/players/new").status_code == 404


# ---- If-None-Match ----

def test_if_none_match_compares_weakly(everyone):
    tag = tag_of(everyone)
    assert ask(everyone, If_None_Match=tag).status_code == 304
    assert ask(everyone, If_None_Match="W/" + tag).status_code == 304


def test_if_none_match_false_is_304_for_get_and_head(everyone, client):
    for path in (TOP, "/boards/b", "/boards/b/players/player-3", "/boards/b/players/player-3/around", "/boards/b/at?rank=3"):
        tag = tag_of(everyone, path)
        for method in ("GET", "HEAD"):
            for _ in range(2):  # fetched, and from memory
                answer = ask(everyone, path, method, If_None_Match=tag)
                assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag), (method, path)
            assert ask(everyone, path, method, If_None_Match='"other"').status_code == 200
    assert ask(client, "/boards", If_None_Match=tag_of(client, "/boards")).status_code == 304
    client.submit("b", "player-3", 1000)
    assert ask(everyone, If_None_Match=tag).status_code == 200


@pytest.mark.parametrize("method, body", [("PUT", {"score_max": 100}), ("PATCH", {"score_max": 100}), ("DELETE", None)])
def test_if_none_match_false_is_412_for_others(client, method, body):
    client.put_board("b")
    tag = tag_of(client, "/boards/b")
    for condition in ("*", tag, "W/" + tag, f'"x", {tag}'):
        assert ask(client, "/boards/b", method, body, If_None_Match=condition).status_code == 412, condition
    assert tag_of(client, "/boards/b") == tag
    assert ask(client, "/boards/b", method, body, If_None_Match='"other"').status_code in (200, 204)


def test_lists_and_several_lines(everyone, ladder):
    tag = tag_of(everyone)
    for condition in ("*", "* ", f'"a",{tag}', f'"a" , W/"b",, {tag} ,', f'"with, a comma", {tag}'):
        assert ask(everyone, If_None_Match=condition).status_code == 304, condition
    for condition in ('"*"', '"a", "b"', tag.strip('"'), tag[:-1], "", "*, *x"):
        assert ask(everyone, If_None_Match=condition).status_code == 200, condition
    lines = f'GET /v1/games/{everyone.game}{TOP} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nIf-None-Match: "a"\r\nIf-None-Match: {tag}\r\n\r\n'
    assert everyone.raw(lines.encode()).startswith(b"HTTP/1.1 304 ")
    assert everyone.raw(lines.replace("If-None-Match", "If-Match").encode()).startswith(b"HTTP/1.1 200 ")


# ---- dates ----

def settled(everyone):
    """The page once its date is one to ask with: its second is over, and what happened in that one was heard of."""
    def is_dated():
        answer = everyone.get(TOP)
        at = answer.headers["Last-Modified"]
        return answer if ask(everyone, If_Modified_Since=at).status_code == 304 else None
    return wait_until(is_dated, 10, "it is dated")


def test_if_modified_since(everyone, client):
    at = changed_at(settled(everyone))
    assert ask(everyone, If_Modified_Since=http_date(at)).status_code == 304
    assert ask(everyone, If_Modified_Since=http_date(at + 1000)).status_code == 304
    assert ask(everyone, If_Modified_Since=http_date(at - 1)).status_code == 200
    instant = time.gmtime(at)
    for form in ("%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"):
        text = time.strftime(form, instant)
        if form.startswith("%a") and text[8] == "0":
            text = text[:8] + " " + text[9:]
        assert ask(everyone, If_Modified_Since=text).status_code == 304, text
    client.submit("b", "player-1", 5000)
    assert ask(everyone, If_Modified_Since=http_date(at)).status_code == 200


def test_if_modified_since_is_ignored_beside_if_none_match(everyone):
    at = changed_at(settled(everyone))
    assert ask(everyone, If_None_Match='"other"', If_Modified_Since=http_date(at)).status_code == 200
    assert ask(everyone, If_None_Match=tag_of(everyone), If_Modified_Since=http_date(at - 1000)).status_code == 304


def test_if_modified_since_that_is_no_date_or_no_read_is_ignored(everyone, client):
    at = changed_at(settled(everyone))
    for text in ("", "yesterday", "2026-01-01T00:00:00Z", str(int(at)), http_date(at).replace("GMT", "CET"), http_date(at) + " x",
                 "Mon, 31 Feb 2094 00:00:00 GMT", "Mon, 01 Jan 2094 25:00:00 GMT"):
        assert ask(everyone, If_Modified_Since=text).status_code == 200, text
    assert ask(client, "/boards/b", "PATCH", {"score_max": 10**6}, If_Modified_Since=http_date(time.time() + 1000)).status_code == 200


def test_dates_are_ignored_where_there_is_none(client):
    client.put_board("b")
    answer = client.get("/boards")
    assert "Last-Modified" not in answer.headers
    for headers in ({"If_Modified_Since": http_date(time.time() + 1000)}, {"If_Unmodified_Since": http_date(0)}):
        assert ask(client, "/boards", **headers).status_code == 200


def test_if_unmodified_since(everyone, client):
    at = changed_at(settled(everyone))
    assert ask(everyone, If_Unmodified_Since=http_date(at)).status_code == 200
    assert ask(everyone, If_Unmodified_Since=http_date(at - 1)).status_code == 412
    assert ask(everyone, If_Unmodified_Since="yesterday").status_code == 200
    board = client.get("/boards/b")
    wait_until(lambda: time.time() > changed_at(board) + 1.1, 5)
    at = changed_at(client.get("/boards/b"))
    before = client.read("/boards/b")
    assert ask(client, "/boards/b", "PATCH", {"score_max": 7}, If_Unmodified_Since=http_date(at - 1)).status_code == 412
    assert ask(client, "/boards/b", "DELETE", If_Unmodified_Since=http_date(at - 1)).status_code == 412
    assert client.read("/boards/b") == before
    assert ask(client, "/boards/b", "PATCH", {"score_max": 10**7}, If_Unmodified_Since=http_date(at)).status_code == 200
    assert ask(client, "/boards/b", "PATCH", {"score_max": 10**8}, If_Unmodified_Since="yesterday").status_code == 200


def test_if_unmodified_since_is_ignored_beside_if_match(everyone, client):
    long_ago = http_date(0)
    assert ask(everyone, If_Match=tag_of(everyone), If_Unmodified_Since=long_ago).status_code == 200
    assert ask(client, "/boards/b", "PATCH", {"score_max": 10**6}, If_Match=tag_of(client, "/boards/b"), If_Unmodified_Since=long_ago).status_code == 200
    assert ask(everyone, If_Match='"other"', If_Unmodified_Since=http_date(time.time() + 1000)).status_code == 412


# ---- the rest of section 13 ----

def test_ranges_are_ignored(everyone):
    whole = everyone.get(TOP)
    for headers in ({"If_Range": whole.headers["ETag"]}, {"If_Range": '"other"', "Range": "bytes=0-4"}, {"If_Range": whole.headers["ETag"], "Range": "bytes=0-4"}):
        answer = ask(everyone, **headers)
        assert (answer.status_code, answer.content) == (200, whole.content) and "Content-Range" not in answer.headers


def test_conditions_do_not_hide_errors(everyone, client, stack):
    for headers in ({"If_None_Match": "*"}, {"If_Match": '"other"'}, {"If_Match": "*"}, {"If_Unmodified_Since": http_date(0)}):
        assert ask(everyone, "/boards/b/players/nobody", **headers).status_code == 404
        assert ask(client, "/boards/none/top", **headers).status_code == 404
        assert ask(everyone, "/boards/b/top?limit=x", **headers).status_code == 400
        assert ask(everyone, "/boards", **headers).status_code == 401
        assert ask(client, "/boards/none", "PATCH", {}, **headers).status_code == 404
        assert ask(client, "/boards/b", "PATCH", {"windows": 7}, **headers).status_code == 400
        assert ask(client, "/boards/b", "PUT", {"order": "sideways"}, **headers).status_code == 400
    reader = Client(client.server, client.game, stack.key(client.game, "read"))
    assert ask(reader, "/boards/b", "PATCH", {}, If_Match='"other"').status_code == 403
    # A change that can't be made is refused as such where the condition holds.
    assert ask(client, "/boards/b", "PUT", {"order": "asc"}, If_Match=tag_of(client, "/boards/b")).status_code == 409


def test_options_ignores_conditions(everyone):
    for headers in ({"If_None_Match": "*"}, {"If_Match": '"other"'}):
        assert ask(everyone, TOP, "OPTIONS", **headers).status_code == 204


def test_order_of_evaluation(everyone, client):
    """If-Match, else If-Unmodified-Since; then If-None-Match, else If-Modified-Since."""
    at, tag = changed_at(settled(everyone)), tag_of(everyone)
    past, now = http_date(at - 10), http_date(at + 10)
    for headers, status in ((dict(If_Match='"other"', If_None_Match=tag), 412), (dict(If_Match=tag, If_None_Match=tag), 304),
                            (dict(If_Match=tag, If_None_Match='"other"'), 200), (dict(If_Unmodified_Since=past, If_None_Match=tag), 412),
                            (dict(If_Unmodified_Since=now, If_None_Match=tag), 304), (dict(If_Unmodified_Since=past, If_Modified_Since=now), 412),
                            (dict(If_Unmodified_Since=now, If_Modified_Since=now), 304), (dict(If_Unmodified_Since=now, If_Modified_Since=past), 200)):
        assert ask(everyone, **headers).status_code == status, headers
    board = tag_of(client, "/boards/b")
    assert ask(client, "/boards/b", "PATCH", {}, If_Match=board, If_None_Match=board).status_code == 412


# ---- the answers ----

def test_a_304_has_the_fields_of_its_200(everyone, client):
    client.request("PATCH", "/boards/b", {"max_age_s": 5, "edge_max_age_s": 60})
    wait_until(lambda: "max-age=5" in everyone.get(TOP).headers["Cache-Control"], 3)
    for _ in range(2):
        whole = everyone.get(TOP)
        answer = ask(everyone, If_None_Match=whole.headers["ETag"])
        for name in ("ETag", "Vary", "Cache-Control", "Last-Modified", "CDN-Cache-Control", "Surrogate-Key", "Cache-Tag"):
            assert answer.headers[name] == whole.headers[name], name
        assert "Date" in answer.headers and "Content-Type" not in answer.headers and answer.status_code == 304


def test_last_modified_is_never_later_than_date(everyone, client):
    for i in range(30):
        client.submit("b", "player-1", 1000 + i)
        for path in (TOP, "/boards/b"):
            answer = everyone.get(path)
            assert changed_at(answer) <= email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()


def test_each_coding_has_its_tag(everyone):
    tags = {}
    for coding in ("identity", "gzip", "br"):
        def kept():
            raw = everyone.session.get(everyone.base + TOP, headers={"Accept-Encoding": coding}, stream=True)
            body = raw.raw.read(decode_content=False)
            return raw if raw.headers.get("Content-Encoding", "identity") == coding and (coding != "gzip" or gzip.decompress(body)) else None
        tags[coding] = wait_until(kept, 5, coding).headers["ETag"]
    assert len(set(tags.values())) == 3 and all(re.fullmatch(r'"[\x21\x23-\x7e]+"', tag) for tag in tags.values())
    for tag in tags.values():
        answer = ask(everyone, If_None_Match=tag, Accept_Encoding="gzip")
        assert (answer.status_code, answer.headers["ETag"]) == (304, tag)
        assert ask(everyone, If_Match=tag).status_code == 200


def test_vary(everyone):
    for path in (TOP, "/boards/b/players/nobody", "/boards/b"):
        assert everyone.get(path).headers["Vary"] == "Accept-Encoding, Ladder-Token"


def test_no_age_expires_pragma_warning(everyone, client):
    for answer in (everyone.get(TOP), everyone.get(TOP), client.get(TOP), client.get("/boards"), everyone.get("/boards/b/players/nobody"),
                   ask(everyone, If_None_Match="*")):
        assert not {"Age", "Expires", "Pragma", "Warning"} & set(answer.headers)


DIRECTIVE = re.compile(r"public|private|no-store|no-cache|must-revalidate|(max-age|stale-while-revalidate|stale-if-error)=(0|[1-9]\d{0,9})")
POLICIES = [
    (dict(), "public, no-cache", None),
    (dict(max_age_s=7), "public, max-age=7, must-revalidate", None),
    (dict(max_age_s=31536000, stale_while_revalidate_s=31536000, stale_if_error_s=31536000),
     "public, max-age=31536000, stale-while-revalidate=31536000, stale-if-error=31536000", None),
    (dict(stale_if_error_s=60), "public, max-age=0, stale-if-error=60", None),
    (dict(edge_max_age_s=60), "public, no-cache", "public, max-age=60, must-revalidate"),
    (dict(max_age_s=1, edge_max_age_s=60, stale_while_revalidate_s=5), "public, max-age=1, stale-while-revalidate=5",
     "public, max-age=60, stale-while-revalidate=5"),
]


@pytest.mark.parametrize("policy, control, edge", POLICIES)
def test_cache_control_by_board(client, ladder, policy, control, edge):
    client.put_board("b", public=True, **policy)
    client.submit("b", "ann", 1)
    for path in (TOP, "/boards/b/players/ann", "/boards/b/players/nobody", "/boards/b"):
        for _ in range(2):
            answer = Client(ladder, client.game).get(path)
            expected = (control, edge)
            if path.endswith("nobody"):  # no more than 10 seconds, or 60 at an edge that is told of changes
                expected = (re.sub(r"=\d+", lambda s: f"={min(int(s[0][1:]), 10)}", control), edge)
            assert (answer.headers["Cache-Control"], answer.headers.get("CDN-Cache-Control")) == expected, path
            assert answer.headers["Surrogate-Key"] == answer.headers["Cache-Tag"].replace(",", " ") == f"game:{client.game} board:{client.game}/b"


@pytest.mark.parametrize("policy", [row[0] for row in POLICIES])
def test_cache_control_grammar(client, ladder, policy):
    client.put_board("b", public=True, **policy)
    answer = Client(ladder, client.game).get(TOP)
    for name in ("Cache-Control", "CDN-Cache-Control"):
        if name not in answer.headers:
            continue
        directives = answer.headers[name].split(", ")
        names = [directive.split("=")[0] for directive in directives]
        assert all(DIRECTIVE.fullmatch(directive) for directive in directives) and len(set(names)) == len(names)
        # What RFC 9111 4.2.1 calls invalid freshness: contradictions.
        assert not {"public", "private"} <= set(names) and not ("no-cache" in names and "max-age" in names) and "immutable" not in names


def test_what_a_key_opens_is_private(everyone, client):
    client.request("PATCH", "/boards/b", {"max_age_s": 60, "edge_max_age_s": 60, "stale_if_error_s": 60})
    client.put_board("secret", max_age_s=60, edge_max_age_s=60)
    for path in (TOP, "/boards/b", "/boards", "/boards/secret/top", "/boards/b/players/nobody", "/boards/b/periods"):
        answer = client.get(path)
        assert answer.headers["Cache-Control"] in ("private, no-store", "no-store"), path
        assert not {"CDN-Cache-Control", "Surrogate-Key", "Cache-Tag"} & set(answer.headers), path
    for answer in (client.request("POST", "/boards/b/scores", {"player": "x", "score": 1}), client.request("PATCH", "/boards/b", {}),
                   client.request("DELETE", "/boards/b/players/x"), everyone.get("/boards/secret/top"), everyone.get("/boards/b/top?limit=x"),
                   everyone.get("/nothing"), ask(everyone, If_Match='"other"')):
        assert "no-store" in answer.headers["Cache-Control"], (answer.request.url, answer.headers)


# ---- boards: settings, conditional changes ----

SETTINGS = dict(max_staleness_ms=3600000, max_age_s=31536000, stale_while_revalidate_s=31536000, stale_if_error_s=31536000, edge_max_age_s=31536000)


def test_board_absence_is_kept_briefly(client, ladder):
    """And exactly: in memory it is gone with the entry's coming."""
    client.put_board("b", public=True, max_age_s=3600, edge_max_age_s=3600, stale_if_error_s=3600)
    client.submit("b", "ann", 1)
    wait_until(lambda: "Last-Modified" in client.get(TOP).headers, 5)
    everyone = Client(ladder, client.game)
    answer = everyone.get("/boards/b/players/bob")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (404, "public, max-age=10, stale-if-error=10")
    assert answer.headers["CDN-Cache-Control"] == "public, max-age=60, stale-if-error=60"
    assert answer.headers["Surrogate-Key"] == everyone.get("/boards/b/players/ann").headers["Surrogate-Key"]
    wait_until(lambda: everyone.get("/boards/b/players/bob").headers["Ladder-Cache"] == "hit", 5, "it is remembered")
    client.submit("b", "ann", 2)
    wait_until(lambda: everyone.get("/boards/b/players/bob").headers["Ladder-Cache"] == "hit", 5, "nobody came")
    client.submit("b", "bob", 1)
    assert everyone.get("/boards/b/players/bob").json()["rank"] == 2


def test_board_settings(client):
    assert all(client.put_board("b")[name] == 0 for name in SETTINGS)
    assert {name: client.put_board("b", **SETTINGS)[name] for name in SETTINGS} == SETTINGS
    for name, most in SETTINGS.items():
        for value in (-1, most + 1, 1.5, None, True, "x"):
            answer = client.request("PATCH", "/boards/b", {name: value})
            assert answer.status_code == 400 and answer.json()["errors"][0]["pointer"] == f"/{name}", (name, value)
        changed = client.request("PATCH", "/boards/b", {name: 1})
        assert changed.status_code == 200 and changed.json()[name] == 1
        assert client.read("/boards/b") == changed.json()
    assert client.read("/boards")["boards"] == [client.read("/boards/b")]
    assert all(client.put_board("b")[name] == 0 for name in SETTINGS)  # PUT says all


def test_board_tag_after_a_patch(client):
    client.put_board("b")
    first = tag_of(client, "/boards/b")
    changed = client.request("PATCH", "/boards/b", {"score_max": 9})
    assert changed.headers["ETag"] == tag_of(client, "/boards/b") != first
    assert ask(client, "/boards/b", "PATCH", {"score_max": 8}, If_Match=changed.headers["ETag"]).status_code == 200


def test_put_has_no_validator(client):
    """What is stored is never just what was sent: it has the defaults, and its dates."""
    made = client.request("PUT", "/boards/b", {})
    whole = client.get("/boards/b")
    again = client.request("PUT", "/boards/b", {name: value for name, value in whole.json().items() if name not in ("name", "created_at", "updated_at")})
    assert (made.status_code, again.status_code) == (201, 200)
    for answer in (made, again):
        assert not {"ETag", "Last-Modified"} & set(answer.headers)
    # Who goes on from it asks for the tag, and finds out whether somebody else was there in between.
    shown = client.get("/boards/b")
    assert shown.json() == again.json()
    assert ask(client, "/boards/b", "PUT", {}, If_Match=shown.headers["ETag"]).status_code == 200


def test_board_create_only(client):
    assert ask(client, "/boards/b", "PUT", {}, If_None_Match="*").status_code == 201
    tag = tag_of(client, "/boards/b")
    assert ask(client, "/boards/b", "PUT", {"score_max": 1}, If_None_Match="*").status_code == 412
    assert ask(client, "/boards/b", "PUT", {"order": "asc"}, If_None_Match="*").status_code == 412
    assert tag_of(client, "/boards/b") == tag
    assert client.request("DELETE", "/boards/b").status_code == 204
    assert ask(client, "/boards/b", "PUT", {"order": "asc"}, If_None_Match="*").status_code == 201


def test_board_tag_of_a_deleted_board_makes_none(client):
    client.put_board("b")
    tag = tag_of(client, "/boards/b")
    client.request("DELETE", "/boards/b")
    assert ask(client, "/boards/b", "PUT", {}, If_Match=tag).status_code == 412
    assert client.get("/boards/b").status_code == 404
    client.put_board("b")  # another board of the same name
    assert ask(client, "/boards/b", "PATCH", {}, If_Match=tag).status_code == 412


def test_board_tag_from_another_server(stack, ladder, client):
    """The condition is looked at against the database, not against what a server remembers."""
    other = stack.serve(cache_board_ttl_ms=60000)
    there = Client(other, client.game, client.key)
    client.put_board("b")
    assert there.read("/boards/b")["score_max"] == 2**63 - 1  # remembered there for a minute
    tag = client.request("PATCH", "/boards/b", {"score_max": 5}).headers["ETag"]
    assert ask(there, "/boards/b", "PATCH", {"score_max": 6}, If_Match=tag).status_code == 200
    assert ask(there, "/boards/b", "PATCH", {"score_max": 7}, If_Match=tag).status_code == 412
    other.stop()


def test_board_racing_changes(stack, ladder, client):
    """Of many changes that saw the same board, through two servers, exactly one is made; none is lost."""
    other = stack.serve()
    client.put_board("b", score_max=0)
    won = 0
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for round_ in range(25):
            seen = client.request("PATCH", "/boards/b", {})
            tag, before = seen.headers["ETag"], seen.json()["score_max"]
            writers = [Client(server, client.game, client.key) for server in (ladder, other) * 4]
            method = "PUT" if round_ % 2 else "PATCH"
            answers = list(pool.map(lambda writer: ask(writer, "/boards/b", method, {"score_max": before + 1}, If_Match=tag), writers))
            assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
            won += 1
            assert client.request("PATCH", "/boards/b", {}).json()["score_max"] == won
        makers = [Client(server, client.game, client.key) for server in (ladder, other) * 4]
        for i in range(10):
            answers = list(pool.map(lambda maker: ask(maker, f"/boards/new{i}", "PUT", {}, If_None_Match="*"), makers))
            assert sorted(answer.status_code for answer in answers) == [201] + [412] * 7
            tag = tag_of(client, f"/boards/new{i}")
            answers = list(pool.map(lambda maker: ask(maker, f"/boards/new{i}", "DELETE", If_Match=tag), makers))
            assert sum(answer.status_code == 204 for answer in answers) == 1 and all(a.status_code in (204, 404, 412) for a in answers)
    other.stop()


def test_board_conditional_change_with_an_idempotency_key(client):
    """Sent again, it gets its first answer, though the board has moved on by that very change."""
    client.put_board("b")
    headers = dict(If_Match=tag_of(client, "/boards/b"), Idempotency_Key="one")
    first = ask(client, "/boards/b", "PATCH", {"score_max": 5}, **headers)
    again = ask(client, "/boards/b", "PATCH", {"score_max": 5}, **headers)
    assert (first.status_code, first.content, first.headers["ETag"]) == (again.status_code, again.content, again.headers["ETag"]) and first.status_code == 200
    assert again.headers["Idempotency-Replayed"] == "true"
    headers = dict(If_Match='"other"', Idempotency_Key="two")
    refused = [ask(client, "/boards/b", "PUT", {}, **headers) for _ in range(2)]
    assert [answer.status_code for answer in refused] == [412, 412] and refused[1].headers["Idempotency-Replayed"] == "true"
    headers = dict(If_None_Match="*", Idempotency_Key="three")
    made = [ask(client, "/boards/new", "PUT", {}, **headers) for _ in range(2)]
    assert [answer.status_code for answer in made] == [201, 201] and made[0].content == made[1].content


def test_board_refusal_whose_answer_was_lost_stays_a_refusal(stack, client):
    """The server died between the commit of the key and keeping the answer: sent again, the condition still counts."""
    client.put_board("b")
    refused = dict(If_Match='"other"', Idempotency_Key="lost")
    assert ask(client, "/boards/b", "PATCH", {"score_max": 5}, **refused).status_code == 412
    stack.sql("update ladder.idempotency_key set status = null, headers = null, body = null, backend = 1, backend_at = now() - interval '1 day' "
              "where game_id = (select id from ladder.game where name = %s)", client.game)
    assert ask(client, "/boards/b", "PATCH", {"score_max": 5}, **refused).status_code == 412
    assert client.read("/boards/b")["score_max"] == 2**63 - 1
