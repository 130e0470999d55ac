import os
import pathlib
import signal
import sys
import threading

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Client, Database, Stack  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: holds to a time, or keeps a core busy: two at a time is one too many")
    # Asked to end, we end as by Ctrl-C: the fixtures' servers are stopped.
    if threading.current_thread() is threading.main_thread():  # a worker of xdist may run us on another
        signal.signal(signal.SIGTERM, signal.default_int_handler)


ALL = "test_tally.py"
# The files that take about a minute or more, longest first: the workers of the suite then end at about the same time.
LONG = ("test_faults.py", "test_protocol.py", "test_replicas.py", "test_stream.py", "test_redis_cluster.py", "test_redis_sentinel.py", "test_dense_sql.py",
        "test_http_wire.py", "test_hostile.py", "test_caches.py", "test_backlog.py", "test_scripts.py", "test_statistics_redis.py", "test_cache_rules.py")
LARGE = "test_statistics.py", "test_real_data.py", "test_cursors.py", "test_fide.py", "test_history.py"


def place_of(name):
    return LONG.index(name) if name in LONG else len(LONG) + LARGE.index(name) + 1 if name in LARGE else len(LONG)


def pytest_collection_modifyitems(items):
    """First the file that looks through the whole database again and again, then the longest ones; last those that leave much in the database,
    of them too the longest first."""
    items.sort(key=lambda item: (item.path.name != ALL, place_of(item.path.name)))


stacks = []


@pytest.fixture(scope="session")
def stack():
    stack = Stack()
    stacks.append(stack)
    yield stack
    stack.close()


@pytest.fixture(scope="module", autouse=True)
def no_worker_stays():
    """A worker that a file leaves behind would lead where the next file's own should."""
    yield
    for child in [child for stack in stacks for child in stack.children]:
        if child.command[1:2] == ["work"] and child.is_alive():
            child.send(signal.SIGCONT)
            child.stop()


@pytest.fixture(scope="module")
def ladder(stack):
    """One server and one worker, shared by a file's tests."""
    server = stack.serve()
    worker = stack.worker()
    stack.trusted(server)
    yield server
    for process in (server, worker):
        if process.is_alive():
            assert process.stop() == 0, process.log()[-2000:]
        process.check_clean()


@pytest.fixture(autouse=True)
def whole_again(request):
    """A test that failed while Redis was down leaves it up for those behind it."""
    yield
    if "stack" in request.fixturenames:
        stack = request.getfixturevalue("stack")
        if not stack.redis_process.is_alive():
            stack.redis_start()


@pytest.fixture
def game(stack):
    return stack.new_game()


@pytest.fixture
def client(stack, ladder, game):
    """An admin of a fresh game."""
    return Client(ladder, game, stack.key(game))


@pytest.fixture
def database(stack, tmp_path, request):
    """Makes databases of the test's own on the stack's primary, not migrated yet."""
    made = []

    def make(owner="ladder"):
        name = f"migrate_{os.getpid()}_{request.node.name.replace('[', '_').replace(']', '')[:30]}_{len(made)}"
        (tmp_path / name).mkdir()
        made.append(Database(stack, name, tmp_path / name, owner))
        return made[-1]
    yield make
    for database in made:
        stack.sql(f"drop database {database.name} with (force)")
