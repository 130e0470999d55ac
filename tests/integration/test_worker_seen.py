"""A worker that is dead, or that hangs, is seen: by every serve (readyz, an alert, a metric), and by the worker's own /healthz and /metrics."""
import re
import signal

import pytest
import requests

from harness import free_port, wait_until

SILENT_MS = 2000


def get(port, path):
    return requests.get(f"http://127.0.0.1:{port}{path}", timeout=30)


def silence(server):
    text = get(server.port, "/metrics").text
    return float(re.search(r"^ladder_worker_silence_seconds (\S+)$", text, re.M).group(1))


def alerts(server):
    return {alert["alert"]: alert["why"] for alert in get(server.port, "/monitoring/alerts").json()["alerts"]}


def is_well(server):
    ready = get(server.port, "/readyz").json()
    return ready["status"] == "ok" and ready["checks"]["worker"] == "ok" and "worker-silent" not in alerts(server)


@pytest.fixture
def worker(stack):
    worker = stack.worker()
    yield worker
    if worker.is_alive():
        assert worker.stop() == 0


@pytest.fixture
def server(stack, worker):
    server = stack.serve(worker_silent_after_ms=SILENT_MS)
    stack.trusted(server)
    wait_until(lambda: all(is_well(server) for _ in range(8)), 30, "all is well, on each loop")
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_worker_is_seen_and_so_is_the_next_one(stack, worker, server, how):
    following = None
    if how == signal.SIGKILL:
        worker.kill()
    else:
        worker.send(how)
    try:
        ready = wait_until(lambda: next(iter([r for r in [get(server.port, "/readyz")] if r.json()["checks"]["worker"] != "ok"]), None), 30, "it is missed")
        assert ready.status_code == 200 and ready.json()["status"] == "degraded" and re.fullmatch(r"no sign of life for \d+ s", ready.json()["checks"]["worker"])
        wait_until(lambda: alerts(server).get("worker-silent", "").startswith("no sign of life for "), 30, "the alert, on each loop")
        wait_until(lambda: silence(server) >= SILENT_MS / 1000, 30, "the metric")
        if how == signal.SIGKILL:
            following = stack.worker()
        else:
            worker.send(signal.SIGCONT)
        wait_until(lambda: all(is_well(server) for _ in range(8)), 30, "it is there again")
        wait_until(lambda: silence(server) < SILENT_MS / 1000, 30, "the metric")
    finally:
        worker.send(signal.SIGCONT)
        assert following is None or following.stop() == 0


def test_without_redis_nothing_is_claimed_of_it(stack):
    server = stack.serve(redis_url="redis://127.0.0.1:1/0")
    ready = get(server.port, "/readyz").json()
    assert ready["status"] == "degraded" and ready["checks"]["worker"].startswith("not known") and "worker-silent" not in alerts(server)
    assert str(silence(server)) == "nan"
    assert server.stop() == 0


def test_the_worker_answers_for_itself(stack, worker):
    """Also one whose jobs are another worker's, as here, says how its runs ended."""
    port = free_port()
    second = stack.worker(worker_port=port)
    try:
        def health():
            try:
                return get(port, "/healthz")
            except requests.ConnectionError:
                return None
        wait_until(lambda: (answer := health()) and {"tail", "roll", "rebuild", "tally"} <= set(answer.json()["jobs"]), 60, "its jobs have run")
        wait_until(lambda: health().json() == {"status": "ok", "jobs": {job: "ok" for job in health().json()["jobs"]}}, 60, "they are well")
        text = get(port, "/metrics").text
        for name in ("ladder_worker_runs_total", "ladder_worker_failures_total", "ladder_worker_success_age_seconds"):
            assert re.search(rf'^# TYPE {name} \w+\n{name}{{job="tail"}} [\d.]+$', text, re.M) or re.search(rf'^{name}{{job="tail"}} [\d.]+$', text, re.M), text
        assert requests.head(f"http://127.0.0.1:{port}/healthz", timeout=30).status_code == 200
        assert get(port, "/nothing").status_code == 404 and requests.post(f"http://127.0.0.1:{port}/healthz", timeout=30).status_code == 405
    finally:
        assert second.stop() == 0
    with pytest.raises(requests.ConnectionError):
        get(port, "/healthz")


def test_what_fails_is_named(stack):
    port = free_port()
    worker = stack.worker(worker_port=port, database_url="postgresql://ladder_work@127.0.0.1:1/ladder", database_replicas="")
    try:
        def failing():
            try:
                return get(port, "/healthz").json()
            except requests.ConnectionError:
                return {"status": "not yet"}
        wait_until(lambda: failing()["status"] == "degraded" and failing()["jobs"].get("tail") == "failing", 60, "its failures are named")
        assert get(port, "/healthz").status_code == 200, "it lives: restarting it mends nothing"
    finally:
        worker.stop()
