"""A connection is not held by a byte now and then: bodies arrive, and answers are read, at a least rate over any window."""
import time


from checks import problem_is
from harness import wait_until
from test_bodies import MB, serving
from test_request_memory import Unread, fill, slow_read
from test_stream import Upload, line

WINDOW_MS = 2000
RATE = dict(server_least_rate=100, server_least_rate_window_ms=WINDOW_MS, server_body_timeout_ms=60000)


def is_over(upload):
    upload.socket.settimeout(0.001)
    try:
        return not upload.receive()
    except TimeoutError:
        return False
    finally:
        upload.socket.settimeout(120)


def trickle(upload, seconds, size, pause):
    """So many bytes, again and again; how long it took until the server had closed."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and not is_over(upload):
        try:
            upload.send(b" " * size)
        except OSError:
            break
        time.sleep(pause)
    return time.monotonic() - began


def test_a_slow_stream_is_ended(stack):
    """With a key, one byte each 0.1 s: the deadline of the body is moved each time, the rate is not."""
    with serving(stack, **RATE) as client:
        upload = Upload(client)
        upload.send(line("ann", board="b"))
        assert trickle(upload, 60, 1, 0.1) >= WINDOW_MS / 1000 - 0.3
        status, _, problem = upload.answer()
        assert status == 408 and "within 2000 ms" in problem["detail"] and "may have been taken" in problem["detail"]
        problem_is(problem, "request-timeout")
        wait_until(lambda: client.get("/boards/b/players/ann").status_code == 200, 10, "the line was taken")


def test_a_burst_does_not_pay_for_what_follows(stack):
    with serving(stack, **RATE) as client:
        upload = Upload(client)
        upload.send(b" \n" * 20000)
        trickle(upload, 60, 1, 0.1)
        assert upload.answer()[0] == 408


def test_a_stream_at_the_least_rate_goes_on(stack):
    """Twice the rate for three windows."""
    with serving(stack, **RATE) as client:
        upload = Upload(client)
        took = trickle(upload, 3 * WINDOW_MS / 1000, 40, 0.1)
        assert took >= 3 * WINDOW_MS / 1000
        status, _, answer = upload.send(b"\n" + line("bob", board="b")).end().answer()
        assert status == 200 and answer["taken"] == 1


def test_an_answer_that_is_read_slowly_is_ended(stack):
    """Its memory is given back; one that is read slowly, but not so slowly, is sent whole."""
    worker = stack.worker()
    with serving(stack, server_loops=1, server_least_rate=10000, server_least_rate_window_ms=WINDOW_MS) as client:
        fill(client)
        wire = Unread(client.server.port, 60)
        wire.send(b"".join(slow_read(client, i) for i in range(5)))
        began, total = time.monotonic(), 0
        try:
            while time.monotonic() - began < 50:
                part = wire.socket.recv(200)
                total += len(part)
                if not part:
                    break
                time.sleep(0.1 if time.monotonic() - began < 10 else 0)
        except ConnectionResetError:
            pass
        assert total < 8 * MB, "the connection was closed in the middle of five answers of 1.8 MB"
        assert client.read("/boards/large/top", limit=1000, fields="metadata")["entries"]
    worker.stop()
