"""scripts/fide-csv, and the real rating lists of one federation: each month's table, the latest and the best, against the file."""
import collections
import csv
import io
import pathlib
import signal
import subprocess

import pytest

from harness import BINARY, ROOT, Client, wait_until

PACKAGE = pathlib.Path("/usr/share/scid/data/spelling.ssp")
CONVERTER = ROOT / "scripts" / "fide-csv"
EXCERPT = """\
### START OF PLAYER SECTION
Alpha, "Ann" #GM NOR [2847] 1990.11.30
   %Bio FIDEID 1503014
   = Alfa, Ann
   %Elo 2009:?,2064,2084 2001:1999,?,2072,2072,2073
   %Elo 2102:2000 2013:2861,?2862,0,2872,2872,2872,2872,2872,2872,2870,2870,2872,2873
Beta, B\xe9\t #-  SWE [1500] 1970
Gamma, Cy #-  NOR/DEN [2000] 1970
   %Elo 1971:2200 1971:2300
Alpha, "Ann" #-  NOR [2000] 1970
   %Bio FIDEID 77
   %Elo 1990:2001,2002 2021:2003,2004,2005,2006
Beta, B\xe9 #-  SWE [1500] 1970
   %Elo 2012:?,?,?,2101,2102,2103,2104,2105,2106
@SITE "., -_()"
Delta #-  NOR
   %Elo 1990:2001,2002
"""


def convert(*words):
    done = subprocess.run([str(CONVERTER), *map(str, words)], capture_output=True, check=True)
    return list(csv.DictReader(io.StringIO(done.stdout.decode(), newline=""))), done.stderr.decode()


def test_the_converter_knows_the_file(tmp_path):
    file = tmp_path / "excerpt.ssp"
    file.write_bytes(EXCERPT.encode("latin-1"))
    rows, told = convert(file)
    ann, other, beta = 'Alpha, "Ann"', 'Alpha, "Ann" (77)', "Beta, B\xe9 (4)"
    assert [(r["player"], r["at"], r["rating"]) for r in rows] == [
        (ann, "2001-01-01", "1999"), (ann, "2001-07-01", "2072"), (ann, "2001-10-01", "2072"),
        (ann, "2009-04-01", "2064"), (ann, "2009-07-01", "2084"),
        (ann, "2013-01-01", "2861"), *((ann, f"2013-{m:02}-01", str(r)) for m, r in zip(range(4, 13), [2872] * 6 + [2870, 2870, 2872])),
        ("Gamma, Cy", "1971-01-01", "2200"),
        (other, "1990-01-01", "2001"), (other, "1990-07-01", "2002"), *((other, f"2021-0{m}-01", str(2002 + m)) for m in (1, 2, 3, 4)),
        *((beta, f"2012-{m:02}-01", str(r)) for m, r in zip((7, 8, 9, 10, 11, 12), range(2101, 2107)))]
    assert told == "28 ratings of 4 players; 6 that fit no list left out\n"
    assert {r["player"] for r in convert("--federation", "SWE", file)[0]} == {beta}


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    """Its CSV and its rows."""
    if not PACKAGE.exists():
        pytest.skip(f"no {PACKAGE}: apt-get install --no-install-recommends scid-rating-data")
    file = tmp_path_factory.mktemp("fide") / "norway.csv"
    with open(file, "wb") as out:
        subprocess.run([str(CONVERTER), "--federation", "NOR"], stdout=out, stderr=subprocess.DEVNULL, check=True)
    with open(file, encoding="utf-8", newline="") as rows:
        return file, [(r["player"], r["at"], int(r["rating"])) for r in csv.DictReader(rows)]


COLUMNS = ["--player", "player", "--score", "rating", "--at", "at"]
EARLY = "2013-01-01"  # enough rows to cut an import in the middle


def test_the_lists_of_a_federation(stack, ladder, federation):
    file, rows = federation
    assert len(rows) > 100000
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("last", operator="last", windows=["all", "monthly"])

    def load(board, *words):
        return stack.cli("import", file, "--game", game, "--board", board, *COLUMNS, *words)

    def check(board, wanted):
        # The worker carries it to Redis, or PostgreSQL answers while the standing is loaded.
        wait_until(lambda: {e["player"]: e["score"] for e in client.pages(board)} == wanted, 20, "the board is what the file says")

    # Up to a date, then the rest: on the day, `last` is who stood where.
    until = "2014-05-02"
    assert f"{sum(at < until for _, at, _ in rows)} rows in" in load("last", "--until", until)
    check("last", {player: rating for player, at, rating in rows if at < until})
    top = client.read("/boards/last/top", limit=1)["entries"][0]
    assert (top["player"], top["score"]) == ("Carlsen, Magnus", 2882)
    load("last", "--from", until)
    check("last", {player: rating for player, at, rating in rows})
    assert "nothing to do" in load("last", "--until", until)

    # Each month is the list of that month.
    for month in ("2014-05", "1980-01", "2021-04"):
        page = client.pages("last", window="monthly", period=f"{month}-01T00:00:00Z")
        assert {e["player"]: e["score"] for e in page} == {player: rating for player, at, rating in rows if at == f"{month}-01"}, month
    page = client.read("/boards/last/top", window="monthly", period="2014-05-01T00:00:00Z", limit=1)["entries"]
    assert [(e["player"], e["score"]) for e in page] == [("Carlsen, Magnus", 2882)]

    client.put_board("best")
    load("best")
    best = collections.defaultdict(int)
    for player, _, rating in rows:
        best[player] = max(best[player], rating)
    check("best", best)
    assert client.read("/boards/best/players/Carlsen,%20Magnus")["achieved_at"] == "2014-05-01T00:00:00Z"
    assert stack.sql("select count(*), count(distinct v.board_id) from ladder.score_event v join ladder.board b on b.id = v.board_id "
                     "join ladder.game g on g.id = b.game_id where g.name = %s", game)[0] == (2 * len(rows), 2)


def test_a_cut_counts_nothing_twice(stack, ladder, federation):
    """The sum of all ratings shows every row that counted twice, or never; the runs differ in their batches."""
    file, rows = federation
    game = stack.new_game()
    Client(ladder, game, stack.key(game)).put_board("sum", operator="sum")
    words = ["import", file, "--game", game, "--board", "sum", *COLUMNS, "--until", EARLY]

    def entered():
        return stack.sql("select coalesce(sum(i.rows_done), 0) from ladder.import_run i join ladder.board b on b.id = i.board_id "
                         "join ladder.game g on g.id = b.game_id where g.name = %s", game)[0][0]
    for batch in (1000, 333, 2000, 100):
        before = entered()
        child = subprocess.Popen([BINARY, *map(str, words), "--batch", str(batch)], env=stack.environment(), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        wait_until(lambda: child.poll() is not None or entered() > before, 20, "some rows are in")
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL, "it was cut in the middle"
    stack.cli(*words)
    wanted = collections.defaultdict(int)
    for player, at, rating in rows:
        if at < EARLY:
            wanted[player] += rating
    assert dict(stack.sql("select e.player, ~e.k1 from ladder.entry e join ladder.period p on p.id = e.period_id join ladder.board b "
                          "on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s", game)) == wanted


def test_one_import_at_a_time(stack, ladder, federation):
    file, rows = federation
    game = stack.new_game()
    client = Client(ladder, game, stack.key(game))
    client.put_board("sum", operator="sum")
    words = [BINARY, *map(str, ["import", file, "--game", game, "--board", "sum", *COLUMNS, "--until", EARLY])]
    children = [subprocess.Popen(words, env=stack.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    outputs = [child.communicate(timeout=600)[0] for child in children]
    # The other one waited and found nothing to do, or gave up.
    assert sorted("changed an entry" in x for x in outputs) == [False, True], outputs
    assert any("nothing to do" in x or "another import of this file is running" in x for x in outputs), outputs
    wanted = sum(rating for _, at, rating in rows if at < EARLY)
    wait_until(lambda: sum(e["score"] for e in client.pages("sum")) == wanted, 20, "every row counts once")
