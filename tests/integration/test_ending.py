"""Shutdown of the server: soon, with exit code 0, and with no process left behind."""

import os
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support.client import Dialogue, outcome_of
from support.context7_api import Api
from support.processes import Process, children_of, one_within, spawn, wait_gone
from support.product import BY_ITSELF, PROGRAM, product_environment

SOON = 0.5

# How users write the command of an upstream: plain, and through a shell that stays or does not.
WRITTEN: dict[str, Callable[[str], list[str]]] = {
    "node": shlex.split,
    "a shell that waits for node": lambda node: ["sh", "-c", f"{node}; true"],
    "a shell that becomes node": lambda node: ["sh", "-c", f"exec {node}"],
}
TWO_FAMILIES = list(WRITTEN)[:2]  # seen from outside the third is like the first
HOW: dict[str, Callable[[Process], None]] = {
    "the end of its input": lambda process: process.close_stdin(),
    "SIGTERM": lambda process: process.popen.send_signal(signal.SIGTERM),
}


@pytest.fixture
def environment(written: str, api: Api, home: Path, newest: list[str]) -> dict[str, str]:
    command = WRITTEN[written](shlex.join(newest))
    upstream = shlex.join(command)
    variables = {"CONTEXT7_API_URL": api.url, "CONTEXT7_FABRIC_UPSTREAM": upstream, **BY_ITSELF}
    return product_environment(home, variables)


def family_of(process: Process, question: str) -> set[int]:
    """Return the processes that it started for a new question."""
    dialogue = Dialogue(process)
    dialogue.introduce()
    asked = {"libraryId": "/fastapi/fastapi", "query": question}
    assert outcome_of(dialogue.call("query-docs", **asked)) == "miss"
    family = children_of(process.pid)
    assert family
    return family


def ending(process: Process, end: Callable[[Process], None], question: str) -> float:
    """Return the seconds until it is gone; its children end soon after."""
    family = family_of(process, question)
    took = ended(process, end)
    wait_gone(family)
    assert "Traceback" not in process.err.text
    return took


def ended(process: Process, end: Callable[[Process], None]) -> float:
    """Return the seconds until it is gone, with exit code 0."""
    started = time.monotonic()
    end(process)
    wait_gone([process.pid])
    took = time.monotonic() - started
    assert process.wait() == 0
    return took


@pytest.mark.parametrize("written", TWO_FAMILIES)
@pytest.mark.parametrize("how", HOW)
def test_it_ends_at_once_and_so_does_its_upstream(environment: dict[str, str], how: str) -> None:
    def took() -> float:
        with spawn([PROGRAM], environment) as process:
            return ending(process, HOW[how], f"question {process.pid}")

    one_within(SOON, took)


@pytest.mark.parametrize("written", WRITTEN)
def test_killed_it_leaves_no_orphan(environment: dict[str, str]) -> None:
    with spawn([PROGRAM], environment) as process:
        family = family_of(process, "question")
        os.kill(process.pid, signal.SIGKILL)
        wait_gone(family)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.either_mode
def test_it_ends_at_once_before_anything_was_asked(home: Path, how: str) -> None:
    environment = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})

    def took() -> float:
        with spawn([PROGRAM], environment) as process:
            Dialogue(process).introduce()
            return ended(process, HOW[how])

    one_within(SOON, took)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.either_mode
def test_it_ends_at_once_during_a_call(
    api: Api, home: Path, newest: Sequence[str], how: str
) -> None:
    variables = {"CONTEXT7_API_URL": api.url, "CONTEXT7_FABRIC_UPSTREAM": shlex.join(newest)}
    environment = product_environment(home, variables)

    def took() -> float:
        with spawn([PROGRAM], environment) as process, api.gate() as gate:
            dialogue = Dialogue(process)
            dialogue.introduce()
            asked = {"libraryId": "/fastapi/fastapi", "query": "never answered"}
            dialogue.start("tools/call", name="query-docs", arguments=asked)
            gate.wait_for(1)
            family = children_of(process.pid)
            seconds = ended(process, HOW[how])
            wait_gone(family)
            return seconds

    one_within(SOON, took)
