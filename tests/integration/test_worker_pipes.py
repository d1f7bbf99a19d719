"""The worker's pipes: broken input gets a reply, and the worker ends with its pipes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator

import pytest

from context7_fabric.settings.values import DEFAULT_MODEL
from context7_fabric.suggestions.worker.process import open_link
from support.processes import Process, spawn, wait_gone

WORKER = [sys.executable, "-P", "-m", "context7_fabric.suggestions.worker"]
LONG = 45.0


async def test_what_a_worker_complains_of_is_in_our_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with open_link(LONG) as link:
        reply = await link.request("upsert", LONG, rows=[], vectors={})
        link._take(b"garbage")
        assert await link.request("upsert", LONG, rows=[], vectors={}) == reply
        pid = link.pid
    assert reply is not None
    assert "say hello first" in reply["error"]
    assert f"worker {pid}: INFO a request failed" in caplog.text
    assert f"worker {pid} wrote a line that is not a reply" in caplog.text
    assert await link.request("status", LONG) is None


@pytest.fixture
def raw() -> Iterator[Process]:
    """A worker with the test itself at the other end."""
    with spawn(WORKER) as process:
        yield process


def test_a_worker_ends_when_its_input_does(raw: Process) -> None:
    raw.close_stdin()
    assert raw.wait(LONG) == 0


def test_garbage_is_answered_with_an_error_and_the_next_request_is_done(raw: Process) -> None:
    lines = ["garbage", '"text"', "{}", '{"id": 1, "do": "dance"}', "x" * 5_000_000, ""]
    for line in lines:
        raw.send(line)
    raw.send(json.dumps({"id": 7, "do": "describe", "model": DEFAULT_MODEL}))
    assert json.loads(raw.out.wait_for('"id":7', LONG).string)["megabytes"] > 0
    before = [json.loads(line) for line in raw.out.text.splitlines()[:-1]]
    assert len(before) == len(lines)
    assert all(reply["error"] for reply in before)


def test_a_worker_does_not_outlive_a_serving_process_that_is_killed() -> None:
    with spawn([sys.executable, "-c", SERVING]) as serving:
        pid = int(serving.out.wait_for(r"^\d+$", LONG)[0])
        os.kill(serving.pid, signal.SIGKILL)
        wait_gone([pid], LONG)


SERVING = f"""
import sys
import anyio
from context7_fabric.suggestions.worker.process import open_link
async def main():
    async with open_link({LONG}) as link:
        print(link.pid, flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""
