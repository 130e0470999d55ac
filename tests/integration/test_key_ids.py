"""The ids of API keys are signed: a made-up one is refused without a query, whatever else goes on; keys without a signature go on working."""
import base64
import contextlib
import hashlib
import hmac
import random
import re
import threading
import time

import psycopg2
import pytest
import requests

from checks import refused
from harness import BINARY, ROOT, Client, Stack, wait_until

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MANY = 300
DICE = random.Random(31)


class Counted(Stack):
    postgres_settings = dict(shared_preload_libraries="pg_stat_statements")

    def start(self):
        super().start()
        self.sql("create extension pg_stat_statements")

    def looked_up(self):
        """How often a server has asked for a key."""
        return self.sql("select coalesce(sum(calls), 0) from pg_stat_statements where query like '%k.hash, k.scope%'")[0][0]


@pytest.fixture(scope="module")
def stack():
    stack = Counted()
    yield stack
    for child in stack.children:
        child.check_clean()
    stack.close()


@pytest.fixture
def serve(stack):
    servers = []

    def start(**settings):
        servers.append(stack.serve(server_loops=1, **settings))
        wait_until(lambda: "absent" in settings.get("faults", "") or is_without_a_query(servers[-1]), 20, "it has the secret")
        return servers[-1]
    yield start
    for server in servers:
        assert server.stop() == 0, server.log()[-2000:]


@pytest.fixture
def old_keys(stack):
    """Makes keys of the form without a signature, as in SQL by hand; none is left behind."""
    made = []

    def make(game, length=12):
        made.append(made_up(length))
        stack.sql("insert into ladder.api_key (id, game_id, scope, hash) select %s, g.id, 'admin', %s from ladder.game g where g.name = %s",
                  made[-1].split("_")[1], hashlib.blake2b(made[-1].encode(), digest_size=32).digest(), game)
        return made[-1]
    yield make
    for key in made:
        stack.sql("update ladder.api_key set revoked_at = now() where id = %s", key.split("_")[1])


def made_up(length):
    return f"lk_{''.join(DICE.choices(DIGITS, k=length))}_{'x' * 43}"


def signed(stack, digits):
    """As any program would sign it that has the secret."""
    secret = bytes(stack.sql("select secret from ladder.key_secret")[0][0])
    number = int.from_bytes(hmac.new(secret, b"ladder key id " + digits.encode(), "sha256").digest()[:8], "big")
    mac = ""
    for _ in range(11):
        number, digit = divmod(number, 62)
        mac = DIGITS[digit] + mac
    return digits + mac


def ask(server, key, game="nobody"):
    return Client(server, game, key).get("/boards/b/top")


def metric(server, name):
    text = requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=30).text
    return int(re.search(rf"^{name} (\d+)", text, re.M)[1])


def is_without_a_query(server, length=31, key=None):
    """It refuses a made-up id at once. One loop only."""
    before = metric(server, "ladder_keys_refused_total")
    refused(ask(server, key or made_up(length)), "unauthorized")
    return metric(server, "ladder_keys_refused_total") > before


@contextlib.contextmanager
def flood(server, *lengths, expected=(401,)):
    """Made-up keys, until the end; they get what is expected and nothing else."""
    is_over, statuses = threading.Event(), set()

    def go_on():
        while not is_over.is_set():
            statuses.add(ask(server, made_up(DICE.choice(lengths))).status_code)
    threads = [threading.Thread(target=go_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert statuses == set(expected)


@pytest.mark.parametrize("faults", ["", "absent"])
@pytest.mark.parametrize("length", [12, 31])
def test_made_up_keys_cost_no_read(stack, serve, length, faults):
    """Of both forms, while there are no keys of the old one. The control looks each up, as before."""
    server = serve(faults=faults)
    time.sleep(1.1)  # what it knows is old: the first waits for it
    before = stack.looked_up()
    assert {ask(server, made_up(length)).status_code for _ in range(MANY)} == {401}
    assert stack.looked_up() - before == (MANY if faults else 0)


def test_the_flood_costs_a_read_of_the_secret_now_and_then(stack, serve):
    server = serve()

    def read():
        return stack.sql("select coalesce(sum(calls), 0) from pg_stat_statements where query like '%%ladder.key_secret s%%'")[0][0]
    before, began = read(), time.monotonic()
    for _ in range(MANY):
        ask(server, made_up(31))
    assert 0 <= read() - before <= (time.monotonic() - began) / 0.5 + 1


@contextlib.contextmanager
def secret_locked(stack):
    """Who reads it waits."""
    with contextlib.closing(psycopg2.connect(stack.primary_url)) as session, session.cursor() as cursor:
        cursor.execute("lock table ladder.key_secret in access exclusive mode")
        yield


def readers_of_the_secret(stack):
    return stack.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%%ladder.key_secret s%%'")[0][0]


def test_requests_wait_for_one_read(stack, serve):
    """Who comes when what is known is old."""
    server = serve(database_replicas="")
    time.sleep(1.1)
    before, answers = stack.looked_up(), []
    with secret_locked(stack):
        threads = [threading.Thread(target=lambda length: answers.append(ask(server, made_up(length)).status_code), args=(length,)) for length in (12, 31) * 4]
        for thread in threads:
            thread.start()
        wait_until(lambda: readers_of_the_secret(stack) == 1, 20, "they wait")
        time.sleep(0.3)
        assert answers == [] and readers_of_the_secret(stack) == 1
    for thread in threads:
        thread.join()
    assert answers == [401] * len(threads) and stack.looked_up() == before


def test_a_read_of_the_secret_in_vain(stack, serve):
    """Who waited for it gets 503; who comes right behind does without."""
    server = serve(database_replicas="", database_statement_timeout_ms=1500)
    time.sleep(1.1)
    with secret_locked(stack):
        refused(ask(server, made_up(31)), "deadline-exceeded")
        wait_until(lambda: ask(server, made_up(31)).status_code == 401, 20, "one is looked up, before the next read is sent")
    wait_until(lambda: is_without_a_query(server), 5, "it is read again")


def test_a_server_stops_while_requests_wait_for_the_secret(stack):
    """With the sanitizers: nothing is left."""
    server = stack.serve(server_loops=1, database_replicas="", server_drain_timeout_ms=200)
    wait_until(lambda: is_without_a_query(server), 20, "it has the secret")
    time.sleep(1.1)

    def one():
        with contextlib.suppress(requests.RequestException):
            ask(server, made_up(31))
    with secret_locked(stack):
        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: readers_of_the_secret(stack) == 1, 20, "they wait")
        assert server.stop() == 0
    for thread in threads:
        thread.join()


def test_a_good_key_works_during_a_flood(stack, serve, game, old_keys):
    """One that the server has not seen yet, though made-up keys of the old form use up what may be looked up."""
    old_keys(game)
    Client(serve(), game, stack.key(game)).put_board("b")
    keys = [stack.key(game) for _ in range(20)]
    server = serve(limits_unknown_lookups=1)
    wait_until(lambda: ask(server, made_up(12)).status_code == 503, 20, "no more is looked up")
    with flood(server, 12, 31, expected=(401, 503)) as statuses:
        wait_until(lambda: statuses == {401, 503}, 20, "the flood")
        assert [ask(server, key, game).status_code for key in keys] == [200] * len(keys)


@pytest.mark.parametrize("faults", ["", "absent"])
def test_the_old_form_has_its_rate_where_there_are_such_keys(stack, serve, game, old_keys, faults):
    """And pushes no good key out of memory; the new form still costs nothing. The control looks each up."""
    server = serve(faults=faults, limits_unknown_lookups=5, cache_key_ttl_ms=0)
    good = Client(server, game, old_keys(game))
    wait_until(lambda: good.get("/boards").status_code == 200, 10, "the key is known")
    before = stack.looked_up()
    assert {ask(server, made_up(31)).status_code for _ in range(MANY)} == {401}
    assert stack.looked_up() - before == (MANY if faults else 0)
    before, began = stack.looked_up(), time.monotonic()
    statuses = [ask(server, made_up(12)).status_code for _ in range(MANY)]
    took = time.monotonic() - began
    assert stack.looked_up() - before == statuses.count(401)
    assert metric(server, "ladder_lookups_refused_total") == statuses.count(503)
    if faults:
        assert set(statuses) == {401}
        return
    assert set(statuses) == {401, 503} and statuses.count(401) <= 11 + 5 * took
    assert {good.get("/boards").status_code for _ in range(20)} == {200}


@pytest.mark.parametrize("length", [1, 12, 30])
def test_a_key_without_a_signature_works(stack, serve, game, old_keys, length):
    """One that is made by hand where there was none is found soon, also in a flood; the next at once."""
    server = serve(limits_unknown_lookups=0)
    assert is_without_a_query(server, 12)
    with flood(server, 12, 31):
        key = old_keys(game, length)
        wait_until(lambda: ask(server, key, game).status_code != 401, 5, "it is found")
        assert ask(server, old_keys(game), game).status_code == 404
    stack.cli("key", "revoke", key.split("_")[1])
    wait_until(lambda: ask(server, key, game).status_code == 401, 10, "it is revoked")


def test_a_key_made_by_hand_waits_for_a_word_that_is_not_old(stack, serve, game, old_keys):
    """A server that nobody has asked for long does not refuse by what it read then."""
    server = serve()
    assert is_without_a_query(server, 12)
    time.sleep(1.1)
    assert ask(server, old_keys(game), game).status_code == 404


def test_the_last_key_of_the_old_form_goes(stack, serve, game, old_keys):
    """Without a start of the server."""
    key, server = old_keys(game), serve()
    wait_until(lambda: ask(server, key, game).status_code == 404, 10, "the key is known")
    assert not is_without_a_query(server, 12)
    stack.cli("key", "revoke", key.split("_")[1])
    wait_until(lambda: is_without_a_query(server, 12), 10, "its form is refused")


def seen(answer):
    changing = {"Date", "Ladder-Request-Id", "Server-Timing"}
    return answer.status_code, {name: value for name, value in answer.headers.items() if name not in changing}, answer.text


def test_a_tampered_id_is_an_unknown_one(stack, serve, game):
    """The same answer, and neither is looked up. With the right id the rest is compared, as before."""
    server = serve()
    _, name, rest = stack.key(game).split("_")
    assert name == signed(stack, name[:20]) and len(rest) == 43
    unknown = seen(ask(server, made_up(31), game))
    assert unknown[0] == 401
    before = stack.looked_up()
    for at in range(len(name)):
        other = name[:at] + DICE.choice(DIGITS.replace(name[at], "")) + name[at + 1:]
        assert seen(ask(server, f"lk_{other}_{rest}", game)) == unknown
    for other in (name[:-1], name + "0", name[1:], ""):
        assert seen(ask(server, f"lk_{other}_{rest}", game)) == unknown
    assert stack.looked_up() == before
    assert seen(ask(server, f"lk_{name}_{rest[::-1]}", game)) == unknown
    assert seen(ask(server, f"lk_{signed(stack, made_up(20).split('_')[1])}_{rest}", game)) == unknown
    assert stack.looked_up() == before + 2
    assert ask(server, f"lk_{name}_{rest}", game).status_code == 404


def test_a_server_that_starts_without_postgresql(stack, game):
    """It answers 503 until PostgreSQL is there, and then as every other."""
    key = stack.key(game)
    stack.primary.stop()
    environment = stack.environment("ladder_serve", server_loops=1, database_replicas="", database_connect_timeout_ms=200, database_reconnect_max_ms=200)
    server = stack.spawn([BINARY, "serve"], "serve-early", environment)
    try:
        line = wait_until(lambda: next((x for x in server.log().splitlines() if "event=listening" in x), None), 30, "it listens")
        server.port = int(line.split("port=")[1].split()[0])
        for kind in (key, made_up(12), made_up(31)):
            refused(ask(server, kind, game), "unavailable")
    finally:
        stack.primary = stack.postgres_start("primary", stack.primary_port)
    wait_until(lambda: ask(server, key, game).status_code == 404, 20, "the key works")
    wait_until(lambda: is_without_a_query(server), 20, "it has the secret")
    before = stack.looked_up()
    assert {ask(server, made_up(length)).status_code for length in (12, 31) for _ in range(50)} == {401}
    assert stack.looked_up() == before and ask(server, key, game).status_code == 404
    assert server.stop() == 0


def commands():
    """The SQL of docs/operations.md on the secret: a new one, the end of the one before, one in place of one that was lost."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.findall(r'^psql -d ladder -c "(.* ladder\.key_secret.*)"', text, re.M)
    assert len(found) == 3
    return found


def test_the_secret_is_replaced(stack, serve, game):
    """Keys work that were signed with the one before, until that is taken away, too."""
    renew, end, _ = commands()
    server, first, unseen = serve(cache_key_ttl_ms=0), stack.key(game), stack.key(game)
    never_made = f"lk_{signed(stack, DIGITS[:20])}_x"
    assert not is_without_a_query(server, key=never_made)
    stack.sql(renew)
    second = stack.key(game)
    wait_until(lambda: ask(server, second, game).status_code == 404, 5, "the new secret is read")
    assert ask(server, first, game).status_code == 404 and ask(serve(), first, game).status_code == 404
    assert not is_without_a_query(server, key=never_made)
    stack.sql(end)
    wait_until(lambda: is_without_a_query(server, key=never_made), 5, "what was signed with the one before is refused")
    assert ask(server, unseen, game).status_code == 401
    assert ask(server, first, game).status_code == 404 and ask(serve(), first, game).status_code == 401, "but for a key in memory"
    assert ask(server, second, game).status_code == 404 and ask(serve(), second, game).status_code == 404


def test_the_secret_is_lost(stack, serve, game):
    """No key can be made then; those that there are work, on servers that start then too."""
    key, before = stack.key(game), stack.sql("select secret, previous from ladder.key_secret")[0]
    try:
        stack.sql("delete from ladder.key_secret")
        assert "the secret that signs keys is missing" in stack.cli("key", "create", "--game", game, "--scope", "read", status=1)
        server = stack.serve(server_loops=1)
        assert ask(server, key, game).status_code == 404
        refused(ask(server, made_up(31)), "unauthorized")
        stack.sql(commands()[2])
        assert ask(server, stack.key(game), game).status_code == 404
        wait_until(lambda: is_without_a_query(server), 20, "the new one is read")
        assert server.stop() == 0
    finally:
        stack.sql("delete from ladder.key_secret")
        stack.sql("insert into ladder.key_secret (secret, previous) values (%s, %s)", *before)


def test_nobody_sees_the_secret(stack, serve, game):
    """Neither in a log nor in what a command or a server prints; nor does it come from a table that others read."""
    server, key = serve(log_level="debug"), stack.key(game)
    assert ask(server, key, game).status_code == 404
    secret = bytes(stack.sql("select secret from ladder.key_secret")[0][0])
    printed = [child.log() for child in stack.children] + [requests.get(f"http://127.0.0.1:{server.port}/metrics", timeout=30).text,
                                                           stack.cli("key", "list", "--game", game)]
    for form in (secret.hex(), base64.b64encode(secret).decode()[:40], base64.urlsafe_b64encode(secret).decode()[:40]):
        assert not any(form.lower() in text.lower() for text in printed)
    readers = stack.sql("select r.rolname::text from pg_roles r where not r.rolsuper and has_table_privilege(r.oid, 'ladder.key_secret', 'select') "
                        "and r.rolname like 'ladder%' order by 1")
    assert readers == [("ladder_app",), ("ladder_migrate",), ("ladder_owner",), ("ladder_serve",)]


def test_the_migration_refuses_ids_that_look_signed(stack, database):
    """It goes through when they are revoked."""
    own = database()
    own.migrate("up")
    own.migrate("down", sum(version >= 66 for version in own.versions()), "--allow-down")
    own.sql("insert into ladder.game (name) values ('g')")
    own.sql("insert into ladder.api_key (id, game_id, scope, hash) select repeat('x', 31), id, 'read', repeat('x', 32)::bytea from ladder.game")
    assert "an id of 31 characters" in own.migrate("up", status=1)
    own.sql("update ladder.api_key set revoked_at = now()")
    own.migrate("up")
    assert own.sql("select octet_length(secret), previous from ladder.key_secret") == [(32, None)]
