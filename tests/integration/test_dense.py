"""Dense ranks by SQL equal dense_rank(), whatever moved, in both orders; and they are counted along the index."""
import contextlib
import random

import psycopg2
import pytest

from harness import wait_until


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_equal_dense_rank(client, stack, order):
    dice = random.Random(order)
    client.put_board("b", windows=["all"], order=order, operator="last")
    for _ in range(4):
        client.submit_many([{"board": "b", "player": f"p{dice.randrange(400)}", "score": dice.randrange(60), "subscore": dice.randrange(2)} for _ in range(300)])
        for _ in range(5):
            client.request("DELETE", f"/boards/b/players/p{dice.randrange(400)}")
        period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s",
                            client.game)[0]
        right = stack.sql("select e.player, dense_rank() over (order by e.k1, e.k2) from ladder.entry_all e where e.period_id = %s and not e.removed "
                          "order by e.k1, e.k2, e.k3, e.player", period)
        assert stack.sql("select e.player, ladder.standing_dense('all', '-infinity', e.period_id, e.k1, e.k2) + 1 from ladder.entry_all e "
                         "where e.period_id = %s and not e.removed order by e.k1, e.k2, e.k3, e.player", period) == right
        stack.replica_caught_up()
        wait_until(lambda: client.read("/boards/b/top", limit=1, fields="total")["total"] == len(right), 30, "all of them are shown")
        for offset in (1, len(right) // 2, len(right) - 5):
            page = client.read("/boards/b/top", ranking="dense", offset=offset, limit=5)["entries"]
            assert [(e["player"], e["rank"]) for e in page] == right[offset:offset + 5]
        player, rank = dice.choice(right)
        assert client.read(f"/boards/b/players/{player}", ranking="dense")["rank"] == rank
        around = client.read(f"/boards/b/players/{player}/around", ranking="dense")["entries"]
        assert {(e["player"], e["rank"]) for e in around} <= set(right)


def test_pairs_are_counted_along_the_index(client, stack):
    """Neither is the partition read nor are pairs sorted or hashed, of a standing that PostgreSQL knows nothing of."""
    client.put_board("b", windows=["all"])
    client.submit("b", "first", 1)
    period, = stack.sql("select p.id from ladder.period p join ladder.board b on b.id = p.board_id join ladder.game g on g.id = b.game_id where g.name = %s",
                        client.game)[0]
    stack.sql("insert into ladder.entry (period_id, player, window_kind, period_start, k1, k2, k3, revision) "
              "select %s, 'p' || n, 'all', '-infinity', ~(n / 2)::bigint, ~0::bigint, n, nextval('ladder.revision') from generate_series(2, 20000) n", period)
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as connection, connection.cursor() as cursor:
        cursor.execute("load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set client_min_messages = log")
        cursor.execute("select ladder.standing_dense('all', '-infinity', %s, -5001, -1)", (period,))
        assert cursor.fetchone()[0] == 5000
        text = "".join(connection.notices)
        assert "Index Only Scan" in text and "Seq Scan" not in text and "Sort" not in text and "HashAggregate" not in text, text
