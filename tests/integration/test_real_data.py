"""47,914 real goals: the whole table, once from Redis and once from PostgreSQL, equals an awk and a sort over the file."""
import csv
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import compare
from harness import BINARY, ROOT, Client, Process, patience, wait_until

DATA = pathlib.Path(os.environ.get("LADDER_TEST_DATA", ROOT.parent / "shared" / "data")) / "goalscorers.csv"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"no {DATA}: set LADDER_TEST_DATA to a folder with goalscorers.csv of github.com/martj42/international_results")


def expected():
    """player -> goals, by awk: fields 5 (scorer) and 7 (own goal); the file has no quotes."""
    lines = subprocess.run(["awk", "-F,", 'NR > 1 && $7 == "FALSE" {n[$5]++} END {for (p in n) print n[p] "\\t" p}', str(DATA)],
                           capture_output=True, text=True, check=True, env={"LC_ALL": "C", "PATH": os.environ["PATH"]}).stdout
    # awk leaves a quoted field as it stands in the file.
    names = ((int(n), p[1:-1].replace('""', '"') if p.startswith('"') else p) for n, p in (line.split("\t") for line in lines.splitlines()))
    return {player: n for n, player in names}


def goals():
    with open(DATA, encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            if row["own_goal"] == "FALSE":
                yield row["scorer"], row["date"]


def check_table(client, stack, game):
    wanted = expected()
    entries = client.pages("goals")
    assert {e["player"]: e["score"] for e in entries} == wanted
    assert [e["rank"] for e in entries] == list(range(1, len(wanted) + 1))
    # The order: goals down, then who got there first, then the name's bytes.
    keys = [(-e["score"], e["achieved_at"], e["player"].encode()) for e in entries]
    assert keys == sorted(keys)
    assert (entries[0]["player"], entries[0]["score"]) == ("Cristiano Ronaldo", 124)
    return entries


def replayed(stack, ladder):
    """-> client, game, seconds"""
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("goals", operator="sum")
    rows = [{"board": "goals", "player": player, "score": 1, "at": date} for player, date in goals()]
    started = time.monotonic()
    results = client.submit_many(rows)
    took = time.monotonic() - started
    assert len(results) == len(rows) and all(r["status"] == 200 for r in results)
    print(f"{len(rows)} goals over HTTP in {took:.1f} s")
    return client, game, took


@pytest.mark.alone
def test_the_replay_over_http(stack, ladder):
    for _ in range(3):  # others may keep the machine busy for a while
        client, game, took = replayed(stack, ladder)
        if took < 10 * patience():
            break
    assert took < 10 * patience()
    wait_until(lambda: compare.same(stack, game), 10, "Redis equals PostgreSQL")
    wait_until(lambda: client.read("/boards/goals/top", limit=1, source="true")["source"] == "redis", 5, "Redis answers")
    from_redis = check_table(client, stack, game)
    stack.redis_process.kill()
    try:
        from_postgres = check_table(client, stack, game)
    finally:
        stack.redis_start()
        stack.trusted(ladder)
    assert from_redis == from_postgres


IMPORT = ["--player", "scorer", "--score", "1", "--at", "date", "--where", "own_goal=FALSE"]


def test_the_import_is_cut_and_goes_on(stack, ladder):
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("goals", operator="sum", windows=["all", "monthly"])
    words = ["import", DATA, "--game", game, "--board", "goals", *IMPORT]

    def rows_done():
        """Of each lane."""
        return stack.sql("select coalesce(sum(i.rows_done), 0) from ladder.import_run i join ladder.board b on b.id = i.board_id "
                         "join ladder.game g on g.id = b.game_id where g.name = %s", game)[0][0]
    for cut in range(3):
        done = rows_done()
        child = subprocess.Popen([BINARY, *map(str, words), "--batch", "500"], env=stack.environment("ladder_work"), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        wait_until(lambda: child.poll() is not None or rows_done() > done, 20, "some rows are in")
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it was cut in the middle"
    stack.cli(*words)
    assert "nothing to do" in stack.cli(*words)
    stack.replica_caught_up()  # an import gives no token
    check_table(client, stack, game)
    # The months of a hundred years, against the file.
    month = [p for p, d in goals() if d.startswith("1998-06")]
    page = client.pages("goals", window="monthly", period="1998-06-01T00:00:00Z")
    assert sum(e["score"] for e in page) == len(month) and {e["player"] for e in page} == set(month)


def test_export_gives_back_what_was_imported(stack, ladder, tmp_path):
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("goals", operator="sum")
    stack.cli("import", DATA, "--game", game, "--board", "goals", *IMPORT)
    out = stack.cli("export", "--game", game, "--board", "goals")
    lines = out.splitlines()
    assert lines[0] == "rank,player,score,subscore,achieved_at,metadata" and len(lines) == len(expected()) + 1
    assert lines[1].startswith("1,Cristiano Ronaldo,124,0,")
    rows = [json.loads(line) for line in stack.cli("export", "--game", game, "--board", "goals", "--format", "ndjson").splitlines()]
    assert [(r["rank"], r["player"], r["score"]) for r in rows] == [(e["rank"], e["player"], e["score"]) for e in client.pages("goals")]


def test_bad_rows_are_named(stack, ladder, tmp_path):
    game = stack.new_game()
    Client(ladder, game, stack.key(game)).put_board("b")
    bad = tmp_path / "bad.csv"
    words = ["import", bad, "--game", game, "--board", "b", "--player", "p", "--score", "s", "--at", "d"]
    for text, message in (("p,s,d\na,1,2020-01-01\nb,x,2020-01-01\n", 'bad.csv:3: column s: "x" is not a 64-bit integer'),
                          ("p,s,d\na,1,someday\n", 'column d: "someday" is no RFC 3339'), ("p,s,d\n,1,2020-01-01\n", "column p: a player id has 1 to 64"),
                          ("p,s,d\na,1\n", "2 fields, the header has 3"), ('p,s,d\n"a,1,2020-01-01\n', "a quote is not closed"),
                          ("p,q,d\n", '--score: the file has no column "s"'), ("", "no header row")):
        bad.write_text(text)
        assert message in stack.cli(*words, status=1), text
    bad.write_text('p,s,d\n"a ""quoted"", name",7,2020-01-01\r\n\nb,x,2020-01-01\nc,8,2020-01-01T10:00:00+02:00')
    assert "2 changed an entry, 0 refused, 1 bad" in stack.cli(*words, "--skip-bad")
    assert 'a ""quoted"", name' in stack.cli("export", "--game", game, "--board", "b")
