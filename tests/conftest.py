"""Rules for every test: asyncio, no blocking call in its loop, no skipped integration test."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import anyio
import pytest
from blockbuster import blockbuster_ctx

TESTS = Path(__file__).parent
INTEGRATION = TESTS / "integration"
NEVER_BLOCKING = (TESTS / "unit", TESTS / "protocol")
ReportT = TypeVar("ReportT", pytest.TestReport, pytest.CollectReport)
CLEANING_UP = 10.0  # seconds that an async test has for it, before pytest-timeout's limit
SKIPS_FAIL = os.environ.get("REQUIRE_INTEGRATION") == "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell has it in the background: the children of tests would ignore it as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio: the MCP SDK's stdio and our daemon are bound to it."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_blocking_call_in_the_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which our code blocks the event loop; worker threads may block."""
    if not any(request.path.is_relative_to(folder) for folder in NEVER_BLOCKING):
        yield
        return
    with blockbuster_ctx("context7_fabric") as blocking:
        # Coverage takes a lock of its own at the first line of a file that a thread reaches.
        blocking.functions["threading.Lock.acquire"].can_block_in(
            "coverage/collector.py", {"lock_data"}
        )
        # One row read without waiting for anything takes less of the loop than a hop to a thread.
        for name in ("sqlite3.Connection.execute", "sqlite3.Cursor.fetchall"):
            blocking.functions[name].can_block_in("disk/table.py", {"get_at_once", "revision"})
        # So does a look whether its file is in its place, once a second.
        blocking.functions["os.stat"].can_block_in("disk/file.py", {"in_place"})
        yield


@pytest.fixture(autouse=True)
def _log_levels_as_they_were() -> Iterator[None]:
    """Undo what a command that ran in this process set for its own log."""
    loggers = [logging.getLogger(name) for name in ("context7_fabric", "mcp", "uvicorn")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Cancel an async test that hangs: its clean-up runs, so the processes it started end too."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return

    @functools.wraps(test)
    async def bounded(**fixtures: object) -> None:
        with anyio.fail_after(_limit(pyfuncitem) - CLEANING_UP):
            await test(**fixtures)

    pyfuncitem.obj = bounded


def _limit(item: pytest.Item) -> float:
    """Return the seconds after which pytest-timeout ends a test."""
    own = item.get_closest_marker("timeout")
    return float(own.args[0] if own else item.config.getini("timeout"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of an integration test into a failure where all of them have to run."""
    return _skip_is_failure(item.path, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself as a whole."""
    return _skip_is_failure(getattr(collector, "path", TESTS), (yield))


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Let xdist send a report whose texts UTF-8 cannot say: half an emoji ends its worker."""
    return _sendable((yield))


def _sendable(report: object) -> object:
    if isinstance(report, str):
        return report.encode("utf-8", "backslashreplace").decode()
    if isinstance(report, dict):
        return {_sendable(key): _sendable(value) for key, value in report.items()}
    if isinstance(report, list | tuple):
        return type(report)(map(_sendable, report))
    return report


def _skip_is_failure(path: Path, report: ReportT) -> ReportT:
    expected = hasattr(report, "wasxfail")
    if SKIPS_FAIL and report.skipped and not expected and path.is_relative_to(INTEGRATION):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_INTEGRATION=1 forbids this. {reason}"
    return report
