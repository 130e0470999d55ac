"""ladder import: what it refuses and how it says so, the forms of files that it takes, and that a dry run keeps nothing."""
import csv
import datetime
import gzip
import json
import os
import pathlib
import pty
import random
import re
import signal
import subprocess
import time

import pytest

from harness import BINARY, Client, wait_until

COLUMNS = ["--player", "p", "--score", "s", "--at", "d"]


@pytest.fixture()
def game(stack):
    return stack.new_game()


@pytest.fixture()
def client(stack, ladder, game):
    return Client(ladder, game, stack.key(game))


def run(stack, game, path, *words, board="b", stdin=None):
    """-> exit status, standard output, standard error"""
    done = subprocess.run([BINARY, "import", str(path), "--game", game, "--board", board, *map(str, words or COLUMNS)],
                          env=stack.environment("ladder_work"), input=stdin, capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def rejected(path):
    with open(path, newline="") as f:
        return [(int(r["row"]), int(r["line"]), r["reason"], r["message"]) for r in csv.DictReader(f)]


def entries(stack, game, board="b", *words):
    if stack.sql("select count(*) from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                 "where g.name = %s and b.name = %s", game, board) == [(0,)]:
        return {}
    lines = stack.cli("export", "--game", game, "--board", board, "--format", "ndjson", *words).splitlines()
    return {e["player"]: e for e in map(json.loads, lines)}


def close(stack, game, window, at):
    """Closes the period of a board that holds an instant."""
    assert stack.sql("update ladder.period p set state = 'closed' from ladder.board b, ladder.game g where g.name = %s and b.game_id = g.id "
                           "and p.board_id = b.id and p.window_kind = %s and p.starts_at <= %s and p.ends_at > %s returning p.id",
                           game, window, at, at)


BAD = '''p,s,d
ann,1,2020-01-01
bob,x,2020-01-01
,1,2020-01-01
"two
lines",1,2020-01-01
cy,1
dan,1,someday
eve,1,2999-01-01
fay,101,2020-01-01
gus,-1,2020-01-01
hal,100,2020-01-01
'''
REASONS = [(2, 3, "invalid-score"), (3, 4, "invalid-player"), (4, 5, "invalid-player"), (5, 7, "wrong-number-of-fields"), (6, 8, "invalid-time"),
           (7, 9, "time-in-future"), (8, 10, "score-out-of-range"), (9, 11, "score-out-of-range")]


def test_a_bad_row_refuses_the_file_and_every_one_is_listed(stack, client, game, tmp_path):
    client.put_board("b", score_min=0, score_max=100)
    path, rejects = tmp_path / "bad.csv", tmp_path / "bad.csv.rejects.csv"
    path.write_text(BAD)
    status, out, err = run(stack, game, path)
    assert status == 1 and out == "" and entries(stack, game) == {}
    assert "8 of 10 rows are bad, so none was submitted" in err
    assert "8 rows are refused" in err and f"{rejects} lists each one." in err
    assert f'1  invalid-score           {path}:3: column s: "x" is not a 64-bit integer' in err
    assert "2  score-out-of-range" in err and "the score 101 is outside the board's bounds, 0 to 100 (the first)" in err
    assert [r[:3] for r in rejected(rejects)] == REASONS
    rejects.unlink()
    # Left out, the others are in; a run that finds nothing to do lists nothing.
    status, out, err = run(stack, game, path, *COLUMNS, "--skip-bad", "--rejects", tmp_path / "here.csv")
    assert status == 0 and "2 changed an entry, 0 refused, 8 bad" in out and "8 rows are refused" in err and not rejects.exists()
    assert [r[:3] for r in rejected(tmp_path / "here.csv")] == REASONS
    assert set(entries(stack, game)) == {"ann", "hal"}
    status, out, err = run(stack, game, path, *COLUMNS, "--skip-bad")
    assert (status, out, err) == (0, "nothing to do: all 10 rows are in\n", "") and not rejects.exists()


def test_a_reject_file_that_cannot_be_written(stack, client, game, tmp_path):
    client.put_board("b")
    path = tmp_path / "a.csv"
    path.write_text("p,s,d\nann,1,2020-01-01\n")
    status, _, err = run(stack, game, path, *COLUMNS, "--rejects", tmp_path / "nowhere" / "r.csv")
    assert status == 1 and "nowhere/r.csv: cannot be written: No such file" in err and entries(stack, game) == {}


@pytest.mark.parametrize("dry", (True, False))
def test_what_the_database_refuses_is_listed_too(stack, client, game, tmp_path, dry):
    client.put_board("b", operator="sum", windows=["daily"], score_min=0, score_max=10)
    path = tmp_path / "days.csv"
    path.write_text("p,s,d\nann,1,2020-01-01\n")
    assert run(stack, game, path)[0] == 0
    close(stack, game, "daily", "2020-01-01")
    before = stack.sql("select max(id) from ladder.score_event")
    rows = [("ann", 1, "2020-01-01T05:00:00Z"), ("ann", 3, "2020-01-02"), ("bob", 11, "2020-01-02"), ("ann", 8, "2020-01-02"), ("ann", 7, "2020-01-02"),
            ("cy", 1, "2020-01-01"), ("cy", -1, "2020-01-03")]
    path.write_text("p,s,d\n" + "".join(f"{p},{s},{d}\n" for p, s, d in rows))
    status, out, err = run(stack, game, path, *COLUMNS, *(["--dry-run"] if dry else []))
    assert status == 1, "refused rows are no success"
    assert "2 changed an entry, 5 refused, 0 bad" in out
    assert ("dry run, nothing was kept" in out) == dry
    assert "2  period-closed" in err and f"{path}:2: the period is closed and final (the first)" in err and "3  score-out-of-range" in err
    assert sorted(r[:3] for r in rejected(f"{path}.rejects.csv")) == [
        (1, 2, "period-closed"), (3, 4, "score-out-of-range"), (4, 5, "score-out-of-range"), (6, 7, "period-closed"), (7, 8, "score-out-of-range")]
    day = entries(stack, game, "b", "--window", "daily", "--period", "2020-01-02T00:00:00Z") if not dry else {}
    assert {p: e["score"] for p, e in day.items()} == ({} if dry else {"ann": 10})
    if dry:
        assert stack.sql("select max(id) from ladder.score_event") == before
        assert run(stack, game, path, *COLUMNS, "--skip-bad")[0] == 0, "a dry run moves no mark"
    else:
        assert run(stack, game, path, *COLUMNS)[:2] == (0, "nothing to do: all 7 rows are in\n")


def test_a_dry_run_judges_as_post_scores_does(stack, client, game, tmp_path):
    """Row by row, the same verdict as the API's."""
    client.put_board("b", score_min=-5, score_max=5, facets=["country"], facet_values_max=1)
    later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = [("ann", "5", "2020-01-01T00:00:00Z", "BR"), ("bob", "6", "2020-01-01T00:00:00Z", "BR"), ("c" * 65, "1", "2020-01-01T00:00:00Z", "BR"),
            ("a\tb", "1", "2020-01-01T00:00:00Z", "BR"), ("dan", "1", "2030-01-01T00:00:00Z", "BR"), ("eve", "1", later, "BR"),
            ("fay", "9223372036854775808", "2020-01-01T00:00:00Z", "BR"), ("gus", "1", "2020-02-30T00:00:00Z", "BR"), ("hal", "-5", "0001-01-01T00:00:00Z", "BR"),
            ("ida", "1", "2020-01-01T00:00:00Z", "x" * 65), ("jo", "1", "2020-01-01T00:00:00Z", "B\x01"), ("kim", "1.0", "2020-01-01T00:00:00Z", "BR")]
    path = tmp_path / "rows.csv"
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([("p", "s", "d", "c"), *rows])
    status, out, err = run(stack, game, path, *COLUMNS, "--facet", "country=c", "--dry-run")
    assert status == 1 and entries(stack, game) == {}
    refused = {r[0] for r in rejected(f"{path}.rejects.csv")}
    for number, (player, score, at, country) in enumerate(rows, 1):
        body = '{"player": %s, "score": %s, "at": "%s", "facets": {"country": %s}}' % (json.dumps(player), score, at, json.dumps(country))
        answer = client.request("POST", "/boards/b/scores", body.encode(), headers={"Content-Type": "application/json"})
        assert (answer.status_code == 200) == (number not in refused), (number, answer.status_code, answer.text)
    path.write_text("p,s,d,c\n" + "".join(f"x{i},1,2020-01-01,C{i}\n" for i in range(3)))
    status, out, err = run(stack, game, path, *COLUMNS, "--facet", "country=c", "--dry-run")
    assert status == 1 and "3  too-many-facet-values" in err


FORMS = {"2024-01-31": "2024-01-31T00:00:00Z", "20240131": "2024-01-31T00:00:00Z", "2024-01-31 10:00:00": "2024-01-31T10:00:00Z",
         "2024-01-31T10:00:00": "2024-01-31T10:00:00Z", "2024-01-31 10:00": "2024-01-31T10:00:00Z", "2024-01-31 10:00:00.25": "2024-01-31T10:00:00.25Z",
         "2024-01-31 10:00:00 UTC": "2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02": "2024-01-31T08:00:00Z",
         "2024-01-31T10:00:00-0230": "2024-01-31T12:30:00Z", "2024-01-31 10:00:00.123456+05:30": "2024-01-31T04:30:00.123456Z",
         "1706695200": "2024-01-31T10:00:00Z", "1706695200123": "2024-01-31T10:00:00.123Z"}


def test_the_usual_forms_of_times(stack, client, game, tmp_path):
    client.put_board("b")
    path = tmp_path / "times.csv"
    path.write_text("p,s,d\n" + "".join(f"{form},1,{form}\n" for form in FORMS))
    assert run(stack, game, path)[0] == 0
    assert {p: e["achieved_at"] for p, e in entries(stack, game).items()} == FORMS
    path.write_text("p,s,d\n" + "".join(f"x,1,{form}\n" for form in ("20240230", "2024-01-31 25:00:00", "170669520", "17066952001", "31.01.2024", "")))
    assert run(stack, game, path)[0] == 1
    assert [r[2] for r in rejected(f"{path}.rejects.csv")] == ["invalid-time"] * 6


@pytest.mark.parametrize("form,text,wanted", (
    ("epoch", "1", "1970-01-01T00:00:01Z"), ("epoch", "-1.5", "1969-12-31T23:59:58.5Z"), ("epoch-ms", "1706695200123", "2024-01-31T10:00:00.123Z"),
    ("epoch-us", "1706695200123456", "2024-01-31T10:00:00.123456Z"), ("rfc3339", "2024-01-31T10:00:00+01:00", "2024-01-31T09:00:00Z"),
    ("rfc3339", "20240131", None), ("epoch", "99999999999999", None), ("epoch-ms", "9223372036854775807", None),
    ("%d/%m/%Y %H:%M", "31/01/2024 10:00", "2024-01-31T10:00:00Z"), ("%d/%m/%Y", "30/02/2024", None), ("%d/%m/%Y", "31/01/2024 10:00", None),
    ("%Y-%m-%d %H:%M:%S %z", "2024-01-31 10:00:00 +0200", "2024-01-31T08:00:00Z")))
def test_a_time_has_the_format_that_is_named(stack, client, game, tmp_path, form, text, wanted):
    client.put_board("b")
    path = tmp_path / "t.csv"
    path.write_text(f"p,s,d\nann,1,{text}\n")
    status, _, err = run(stack, game, path, *COLUMNS, "--at-format", form)
    assert status == (0 if wanted else 1), err
    assert {p: e["achieved_at"] for p, e in entries(stack, game).items()} == ({"ann": wanted} if wanted else {})


def test_a_format_that_is_none(stack, client, game, tmp_path):
    client.put_board("b")
    path = tmp_path / "t.csv"
    path.write_text("p,s,d\nann,1,1\n")
    assert '--at-format: "iso" is not auto, rfc3339, epoch' in run(stack, game, path, *COLUMNS, "--at-format", "iso")[2]
    assert "--at-format: which column is the time?" in run(stack, game, path, *COLUMNS[:4], "--at-format", "epoch")[2]


def test_metadata_and_facets_from_columns(stack, client, game, tmp_path):
    client.put_board("b", facets=["country"])
    path = tmp_path / "m.csv"
    path.write_text('p,s,d,car,track,c,j\nann,1,2020-01-01,"a ""b"" \\ é",,BR,"{""n"": [1, 2.50], ""x"": null}"\nbob,2,2020-01-01,,,,\ncy,3,2020-01-01,v,w,AR,"{}"\n')
    words = [*COLUMNS, "--facet", "country=c"]
    status, out, err = run(stack, game, path, *words, "--metadata", "car=car", "--metadata", "track=track")
    assert status == 0, err
    assert {p: e["metadata"] for p, e in entries(stack, game).items()} == {"ann": {"car": 'a "b" \\ é'}, "bob": None, "cy": {"car": "v", "track": "w"}}
    assert set(entries(stack, game, "b", "--facet", "country:BR")) == {"ann"}
    client.put_board("j")
    status, out, err = run(stack, game, path, *COLUMNS, "--metadata-json", "j", board="j")
    assert status == 0, err
    client.request("POST", "/boards/j/scores", b'{"player": "dan", "score": 1, "metadata": {"n": [1, 2.50], "x": null}}', headers={"Content-Type": "application/json"})
    kept = stack.sql("select player, metadata::text from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b on b.id = p.board_id "
                     "join ladder.game g on g.id = b.game_id where g.name = %s and b.name = 'j'", game)
    kept = dict(kept)
    assert kept["ann"] == kept["dan"] and kept["bob"] is None and kept["cy"] == "{}", "as POST scores keeps it"


def test_metadata_that_the_api_would_refuse(stack, client, game, tmp_path):
    client.put_board("b")
    path = tmp_path / "m.csv"
    with open(path, "w", newline="") as f:
        csv.writer(f).writerows([("p", "s", "d", "j"), *(("x", 1, "2020-01-01", j) for j in (
            "{", '{}, "metadata": {}', '{}, "player": "y"', '{"a": "%s"}' % ("x" * 2048), '{"a": 1, "a": 2}'))])
    status, _, err = run(stack, game, path, *COLUMNS, "--metadata-json", "j")
    assert status == 1 and [r[2] for r in rejected(f"{path}.rejects.csv")] == ["invalid-metadata"] * 5
    path.write_text("p,s,d,j\nx,1,2020-01-01," + "y" * 2048 + "\n")
    status, _, err = run(stack, game, path, *COLUMNS, "--metadata", "j=j")
    assert status == 1 and "the metadata has 2056 bytes, the limit is 2048" in err


ROWS = 5000


def text_of(rows=ROWS):
    return ("p,s,d\n" + "".join(f"player {i},{i},2020-01-01\n" for i in range(rows))).encode()


def compressed(kind, data):
    if kind == "gzip":
        return gzip.compress(data[:1000]) + gzip.compress(data[1000:])  # two members are one file
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("way", ("file", "stdin", "pipe"))
@pytest.mark.parametrize("kind", ("plain", "gzip", "zstd"))
def test_compressed_files_and_standard_input(stack, client, game, tmp_path, kind, way):
    client.put_board("b")
    data = text_of() if kind == "plain" else compressed(kind, text_of())
    path = tmp_path / "rows.csv"  # the name says nothing
    path.write_bytes(data)
    if way == "file":
        status, out, err = run(stack, game, path)
    elif way == "stdin":
        status, out, err = run(stack, game, "-", *COLUMNS, stdin=data)
    else:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        with subprocess.Popen(["sh", "-c", f"cat '{path}' >'{pipe}'"]) as writer:
            status, out, err = run(stack, game, pipe)
        assert writer.returncode == 0
    assert status == 0 and f"{ROWS} changed an entry" in out, err
    # Packed another way, it is the same import.
    (tmp_path / "again.csv").write_bytes(text_of())
    assert "nothing to do" in run(stack, game, tmp_path / "again.csv")[1]


@pytest.mark.parametrize("kind", ("gzip", "zstd"))
def test_compressed_files_that_are_cut_or_damaged(stack, client, game, tmp_path, kind):
    client.put_board("b")
    data = compressed(kind, text_of())
    path = tmp_path / "rows.csv.x"
    path.write_bytes(data[:-20])
    status, _, err = run(stack, game, path)
    assert status == 1 and "data end too early" in err
    end = -8 if kind == "gzip" else -4  # of the checksum
    path.write_bytes(data[:end] + bytes([data[end] ^ 1]) + data[end + 1:])
    status, _, err = run(stack, game, path)
    assert status == 1 and "data are damaged" in err
    assert entries(stack, game) == {}


def test_a_combined_board_takes_no_import(stack, client, game, tmp_path):
    client.put_board("a")
    client.put_board("b")
    assert client.request("PUT", "/boards/b/combination", {"by": "sum", "of": [{"board": "a", "weight": 1}]}).status_code in (200, 201)
    path = tmp_path / "a.csv"
    path.write_text("p,s,d\nann,1,2020-01-01\n")
    status, _, err = run(stack, game, path)
    assert status == 1 and "is made of other boards and takes no submissions" in err


# ---- the counterpart: ladder export ----

def keys(stack, game, board):
    """All that the database has of a board's entries, in whole and by facet, but for revisions."""
    return sorted(stack.sql(
        "select p.window_kind::text, ladder.facet_name(nullif(p.facet, ''), b.facets, b.facet_ids), e.player, e.k1, e.k2, e.k3, e.metadata::text "
        "from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
        "where g.name = %s and b.name = %s and not e.removed", game, board), key=repr)


@pytest.mark.parametrize("operator", ("best", "last", "sum"))
@pytest.mark.parametrize("order,tie", (("desc", "first"), ("asc", "last")))
def test_an_export_imported_is_the_same_board(stack, client, game, tmp_path, operator, order, tie):
    shape = {"operator": operator, "order": order, "tie": tie, "facets": ["country", "clan"]}
    for board in ("one", "two"):
        client.put_board(board, **shape)
    dice = random.Random(f"{operator}{order}")
    # No end of int64 for sums: they overflow.
    scores = [0, 1, -1, 7, 2**53 + 1] + ([] if operator == "sum" else [2**63 - 1, -2**63])
    players = [*(f"player {i}" for i in range(300)), ' "quoted", ', "=1+1", "Zoë", "a,b", "'", "x" * 64]
    rows = []
    for _ in range(1500):
        row = {"board": "one", "player": dice.choice(players), "score": dice.choice(scores), "subscore": dice.choice((0, 1, -5)),
               "at": f"20{dice.randrange(10, 25)}-0{dice.randrange(1, 10)}-11T10:00:00.{dice.randrange(10**6):06}Z"}
        if dice.random() < 0.5:
            row["metadata"] = dice.choice(({"a": 'x"y,\n\\ é'}, {}, {"n": 1.5, "deep": {"list": [None, True]}}))
        if dice.random() < 0.5:
            row["facets"] = dice.choice(({"country": "BR"}, {"country": "AR", "clan": 'a "b", c'}, {"clan": None}, {"country": None}))
        rows.append(row)
    assert {r["status"] for r in client.submit_many(rows)} == {200}
    path = tmp_path / "one.csv"
    stack.cli("export", "--game", game, "--board", "one", "--output", path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.csv"]
    assert path.read_text() == stack.cli("export", "--game", game, "--board", "one")
    assert path.read_text().splitlines()[0] == "rank,player,score,subscore,achieved_at,metadata,facet:country,facet:clan"
    status, out, err = run(stack, game, path, "--exported", board="two")
    assert status == 0, err
    assert keys(stack, game, "two") == keys(stack, game, "one") != []
    assert stack.cli("export", "--game", game, "--board", "two") == path.read_text()


def test_an_exported_file_names_its_own_columns(stack, client, game, tmp_path):
    client.put_board("b")
    path = tmp_path / "e.csv"
    stack.cli("export", "--game", game, "--board", "b", "--output", path)
    assert path.read_text() == "rank,player,score,subscore,achieved_at,metadata\n", "a board without an entry has an empty standing"
    assert run(stack, game, path, "--exported")[0] == 0
    status, _, err = run(stack, game, path, "--exported", "--player", "player")
    assert status == 2 and "--exported says which columns there are" in err
    path.write_text("player,score\nann,1\n")
    assert 'the file has no column "achieved_at"' in run(stack, game, path, "--exported")[2]


def test_an_export_whose_connection_is_lost_ends(stack, client, game):
    """PostgreSQL is gone in the middle of the rows, without a word."""
    client.put_board("b")
    for n in range(0, 8000, 500):
        rows = [{"board": "b", "player": f"p{n + i}", "score": i, "metadata": "m" * 2000} for i in range(500)]
        assert {r["status"] for r in client.submit_many(rows)} == {200}
    child = subprocess.Popen([BINARY, "export", "--game", game, "--board", "b"], env=stack.environment("ladder_work"),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    blocked = "select pid from pg_stat_activity where query like 'copy (%%' and query like %s and wait_event = 'ClientWrite'"
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id "
                        "where g.name = %s", game)[0]
    try:
        (pid,), = wait_until(lambda: stack.sql(blocked, f"%{period}%"), 30, "nobody reads what PostgreSQL sends")
        stack.sql("select pg_terminate_backend(%s)", pid)
        wait_until(lambda: not stack.sql("select from pg_stat_activity where pid = %s", pid), 30, "the connection is gone")
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 1 and b"the database connection is gone" in err, (child.returncode, err)
    assert 0 < out.count(b"\n") < 8000


def export_cut(stack, game, path, rows, *words):
    """An export that is killed in the middle."""
    child = subprocess.Popen([BINARY, "export", "--game", game, "--board", "b", "--output", path, *words],
                             env={**stack.environment("ladder_work"), "LADDER_FAULTS": "stop-export"}, stderr=subprocess.PIPE)
    wait_until(lambda: pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", 60, "it stands still")
    child.kill()
    child.wait()
    assert not path.exists() and pathlib.Path(f"{path}.part").stat().st_size > rows


def test_an_export_that_was_cut_goes_on(stack, client, game, tmp_path):
    client.put_board("b", operator="last", facets=["country"])
    rows = tmp_path / "rows.csv"
    rows.write_text("p,s,d,c\n" + "".join(f"p'{i},{i % 100},2020-01-01,C{i % 7}\n" for i in range(5000)))
    assert run(stack, game, rows, *COLUMNS, "--facet", "country=c")[0] == 0
    whole = stack.cli("export", "--game", game, "--board", "b")
    out, part = tmp_path / "out.csv", tmp_path / "out.csv.part"

    def resume():
        done = subprocess.run([BINARY, "export", "--game", game, "--board", "b", "--output", out, "--resume"], env=stack.environment("ladder_work"),
                              capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stderr
    export_cut(stack, game, out, 1000)
    with part.open("a") as f:
        f.write("999,half a row")  # what was written behind the last note
    assert "goes on behind row 1000" in resume()
    assert out.read_text() == whole and sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "rows.csv"]
    # Cut twice.
    out.unlink()
    export_cut(stack, game, out, 1000)
    export_cut(stack, game, out, 2000, "--resume")
    assert "goes on behind row 2000" in resume() and out.read_text() == whole
    # A change anywhere in the standing, before the cut or behind it, and one of a facet: the file is of one moment, so it begins again.
    for change in ({"player": "p'99", "score": 98}, {"player": "p'0", "score": -1}, {"player": "new", "score": 50}, None,
                   {"player": "p'7", "score": 7, "facets": {"country": "C9"}}):
        out.unlink()
        export_cut(stack, game, out, 1000)
        if change:
            client.submit("b", change.pop("player"), change.pop("score"), **change)
        else:
            assert client.request("DELETE", "/boards/b/players/p'98").status_code == 200
        assert "it begins with the first row" in resume()
        whole = stack.cli("export", "--game", game, "--board", "b")
        assert out.read_text() == whole
    # What is not of this export.
    out.unlink()
    export_cut(stack, game, out, 1000)
    done = stack.cli("export", "--game", game, "--board", "b", "--format", "ndjson", "--output", out, "--resume")
    assert "it begins with the first row" in done and out.read_text() == stack.cli("export", "--game", game, "--board", "b", "--format", "ndjson")
    # Without --resume what is left of another is overwritten.
    out.unlink()
    export_cut(stack, game, out, 1000)
    stack.cli("export", "--game", game, "--board", "b", "--output", out)
    assert out.read_text() == whole and not part.exists()
    assert stack.cli("export", "--game", game, "--board", "b", "--resume", status=2).startswith("usage:")


def test_progress_is_shown_on_a_terminal(stack, client, game, tmp_path):
    client.put_board("b")
    rows = tmp_path / "rows.csv"
    rows.write_text("p,s,d\n" + "".join(f"p{i},{i},2020-01-01\n" for i in range(5000)))
    assert run(stack, game, rows)[0] == 0
    ours, theirs = pty.openpty()
    # Held where it notes its place: 200 ms later it is time for a line.
    child = subprocess.Popen([BINARY, "export", "--game", game, "--board", "b", "--output", tmp_path / "out.csv"], stderr=theirs,
                             env={**stack.environment("ladder_work"), "LADDER_FAULTS": "stop-export"})
    os.close(theirs)
    wait_until(lambda: pathlib.Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", 60, "it stands still")
    time.sleep(0.3)
    child.send_signal(signal.SIGCONT)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:
        pass  # a terminal whose other end is closed
    assert child.wait() == 0
    assert re.search(rb"\rexporting: [2-5]000 rows, \d+ rows/s, \d+ s left", seen), seen
    assert seen.endswith(b"\r\x1b[K")
