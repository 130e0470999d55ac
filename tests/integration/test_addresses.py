"""Connections by address: one client cannot take those of all others."""
import re
import socket


from harness import wait_until
from test_bodies import serving
from test_http_wire import check_problem
from wire import Wire

ASK = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n"


class From(Wire):
    """A connection from this address of the machine."""

    def __init__(self, port, address):
        self.socket = socket.create_connection(("127.0.0.1", port), 60, (address, 0))
        self.data, self.is_closed = b"", False


def statuses(wires):
    """One answer each. A connection that is refused is answered before it asks, and closed."""
    found = []
    for wire in wires:
        wire.send(ASK)
        answer = wire.answer()
        found.append(answer.status if answer else None)
        if answer and answer.status == 429:
            check_problem(answer, 429, "connections already")
            assert answer.headers["connection"] == "close" and not wire.receive()
    return found


def metric(client, name):
    """Asked on the client's own connection: one for each question would be among those that are counted."""
    text = client.session.get(f"http://127.0.0.1:{client.server.port}/metrics", timeout=60).text
    return int(re.search(rf"^{name} (\d+)$", text, re.M)[1])


def close(wires):
    for wire in wires:
        wire.socket.close()


def test_one_address_has_a_limit_over_all_loops(stack):
    """Exactly so many, whichever loops they are at; others, and proxies, are not concerned."""
    with serving(stack, server_loops=3, server_connections_per_address=20, server_proxies="127.0.0.9,192.0.2.0/24,2001:db8::/32") as client:
        port = client.server.port
        crowd = [From(port, "127.0.0.2") for _ in range(50)]
        try:
            found = statuses(crowd)
            assert found.count(200) == 20 and found.count(429) == 30, found
            assert metric(client, "ladder_http_connections_refused_total") == 30
            assert statuses([From(port, "127.0.0.3")]) == [200]
            proxied = [From(port, "127.0.0.9") for _ in range(60)]
            assert statuses(proxied) == [200] * 60
            close(proxied)
            kept = [wire for wire, status in zip(crowd, found) if status == 200]
            wait_until(lambda: metric(client, "ladder_http_connections_open") == len(kept) + 1, 60, "all but those that were taken, and ours, have ended")
            close(kept[:7])
            wait_until(lambda: metric(client, "ladder_http_connections_open") == len(kept) - 7 + 1, 60, "seven more have ended")
            more = [From(port, "127.0.0.2") for _ in range(10)]
            found = statuses(more)  # the loops take them in any order
            assert found.count(200) == 7 and found.count(429) == 3, found
            assert statuses(kept[7:]) == [200] * 13, "those that were there go on"
            close(more)
            log = [line for line in client.server.log().splitlines() if "event=address-refused" in line]
            assert len(log) == 1 and "address=127.0.0.2" in log[0], log
        finally:
            close(crowd)


def test_one_address_leaves_room_for_others(stack):
    """By default it has a quarter: three quarters of the server's connections are left for others."""
    with serving(stack, server_loops=2, server_connections_max=16, server_proxies="127.0.0.9") as client:
        port = client.server.port
        crowd = [From(port, "127.0.0.2") for _ in range(40)]
        try:
            found = statuses(crowd)
            assert found.count(200) == 8 and found.count(429) == 32, found
            assert statuses([From(port, f"127.0.0.{i}") for i in (3, 4, 5)]) == [200] * 3
        finally:
            close(crowd)


def test_this_machine_has_no_limit_where_no_proxy_is_named(stack):
    with serving(stack, server_connections_per_address=5) as client:
        crowd = [From(client.server.port, "127.0.0.2") for _ in range(20)]
        assert statuses(crowd) == [200] * 20
        close(crowd)
