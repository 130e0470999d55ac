"""One process has a port, unless it is to be shared; the loops of one process share it always."""
import re
import socket
import subprocess

import pytest

from harness import BINARY, wait_until


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serve(stack, port, **settings):
    return subprocess.Popen([BINARY, "serve"], env=stack.environment("ladder_serve", server_port=port, server_secret="0123456789abcdef", **settings),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def listens(child):
    """Whether it says so before it ends."""
    for line in child.stdout:
        if "listening" in line and "error" not in line.lower():
            return True
        if "cannot listen" in line:
            child.said = line
    child.wait()
    return False


def stop(children):
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        child.wait(60)
        child.stdout.close()


def test_a_second_process_on_the_port_is_refused(stack):
    port = free_port()
    first = serve(stack, port, server_loops=3)
    children = [first]
    try:
        assert listens(first)
        for address in ("127.0.0.1", "0.0.0.0"):
            second = serve(stack, port, server_listen=address)
            children.append(second)
            assert not listens(second) and second.returncode == 1
            assert f"ladder serve: cannot listen on {address} port {port}: Address already in use: another process listens there (server.share_port" in second.said
        stop([first])
        # A stopped one leaves the port at once, whatever connections it had.
        third = serve(stack, port)
        children.append(third)
        assert listens(third)
    finally:
        stop(children)


@pytest.mark.parametrize("round", range(3))
def test_of_several_at_once_one_has_the_port(stack, round):
    port = free_port()
    children = [serve(stack, port, server_loops=2) for _ in range(5)]
    try:
        assert sorted(listens(child) for child in children) == [False] * 4 + [True]
    finally:
        stop(children)


def test_a_port_is_shared_by_those_that_say_so(stack):
    port = free_port()
    children = [serve(stack, port, server_loops=1, server_share_port="true") for _ in range(2)]
    try:
        assert all([listens(child) for child in children])
        alone = serve(stack, port)
        children.append(alone)
        assert not listens(alone)
    finally:
        stop(children)


def test_the_loops_of_a_process_share_its_connections(stack):
    """Each loop's socket has a queue of its own; a process that stands still takes nothing from it."""
    port = free_port()
    child = serve(stack, port, server_loops=3)
    connections = []
    try:
        assert listens(child)
        child.send_signal(19)  # SIGSTOP
        for _ in range(90):
            connections.append(socket.create_connection(("127.0.0.1", port), 10))

        def queues():
            lines = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout.splitlines()
            return [int(re.split(r"\s+", line)[1]) for line in lines]
        wait_until(lambda: sum(queues()) == 90, 30, "all wait to be accepted")
        assert len(queues()) == 3 and min(queues()) >= 5, queues()
    finally:
        child.send_signal(18)
        for connection in connections:
            connection.close()
        stop([child])
