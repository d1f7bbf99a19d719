"""`stats` as a shell runs it: figures from the records, as text and as JSON."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from bench.recorded import DAY, ERROR, HIT, LOOK_UP, MISS, keep_in
from context7_fabric.call_log.records import CallRecord
from support.client import over_stdio
from support.context7_api import Api
from support.product import PROGRAM, Variables, product_environment, run_product

KEPT_KEYS = {
    "calls_this_month",
    "calls_saved",
    "monthly_calls",
    "quota_said",
    "quota_said_at",
    "resting_until",
    "resting_because",
    "resting_ends",
    "breaker_open_until",
    "breaker_open_because",
    "breaker_closes",
    "session_lost_at",
    "session_lost_how",
    "answers",
    "lists",
    "quarantined",
    "store_faults",
    "last_store_fault",
    "last_store_fault_at",
}
HOSTILE = "/evil/\x1b[31mred\x1b]0;title\x07\u202e[bold]kept[/bold]"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The product's, on a home of its own, on a terminal of 80 columns."""
    return product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off", "COLUMNS": "80"})


def have(home: Path, *executions: CallRecord) -> None:
    """Store these records in a home, each under an id of its own."""
    named = [replace(each, id=f"{number:032x}") for number, each in enumerate(executions)]
    anyio.run(keep_in, home, named)


def figures_of(environment: Variables, *words: str) -> dict[str, Any]:
    """Return the object that `stats --json` prints."""
    done = run_product("stats", "--json", *words, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def shown(environment: Variables, *words: str) -> str:
    """Return the output of `stats`."""
    done = run_product("stats", *words, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.either_mode
async def test_calls_of_a_server_are_counted_after_it_has_ended(
    api: Api, home: Path, by_http: Variables
) -> None:
    environment = product_environment(home, by_http)
    look_up = {"libraryName": "fastapi", "query": "How do I test a WebSocket?"}
    question = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
    async with over_stdio([PROGRAM], environment) as client:
        for _ in range(2):
            await client.call_tool("resolve-library-id", look_up)
            await client.call_tool("query-docs", question)
        await client.call_tool("query-docs", {"query": "no library at all"})
    figures = await anyio.to_thread.run_sync(figures_of, environment)
    assert figures.keys() == {*KEPT_KEYS, "records"}
    assert (figures["calls_this_month"], figures["calls_saved"]) == (2, 2)
    records = figures["records"]
    assert (records["read"], records["calls"], records["hits"]) == (5, 5, 2)
    assert (records["upstream_calls"], records["calls_saved"]) == (2, 2)
    assert records["tokens_saved"] > 0
    assert records["tools"]["resolve-library-id"]["hit_rate"] == 0.5
    assert records["tools"]["query-docs"]["calls"] == 3
    assert records["tiers"]["upstream"]["hits"] == 0
    assert records["most_asked"][0]["library_id"] == "/fastapi/fastapi"
    (error,) = records["errors"]
    assert error["calls"] == records["failed"] == 1


def test_all_of_it_stands_in_eighty_columns(home: Path, environment: dict[str, str]) -> None:
    now = time.time()
    long = replace(MISS, library_id="/organisation-of-a-long-name/" + "project" * 20, at=now - 9)
    have(
        home,
        *(replace(each, at=now - 5) for each in (HIT, HIT, LOOK_UP, MISS, ERROR)),
        long,
        replace(HIT, at=now - 2 * DAY, latency_ms=12_345.0, tokens_saved=12_345_678),
    )
    text = shown(environment)
    assert max(map(len, text.splitlines())) <= 80
    assert "7 records read: 7 calls, " in text
    assert re.search(r"^ query-docs +6 +50\.0% +3 +3 +12,345,678 +55,000 *$", text, re.MULTILINE)
    assert re.search(r"^ resolve-library-id +1 +100\.0% +0 +1 +280 +1\.0 *$", text, re.MULTILINE)
    assert re.search(r"^ /widgets/widget1 +5 +80\.0%", text, re.MULTILINE)
    assert re.search(r"^ /organisation-of-a\S* +1 +0\.0%", text, re.MULTILINE)
    assert "…" not in text
    assert str(long.library_id) in re.sub(r"\s+|\d+(?:\.\d+)?%?", "", text)
    assert re.search(rf"^ {re.escape(str(ERROR.error))} +1 *$", text, re.MULTILINE)


def test_each_day_has_its_bar_and_so_has_one_without_a_call(
    home: Path, environment: dict[str, str]
) -> None:
    now = time.time()
    have(
        home,
        *(replace(each, at=now - 2 * DAY) for each in (HIT, HIT, HIT, MISS)),
        replace(HIT, at=now),
    )
    rows = re.findall(
        r"^ (\d{4}-\d\d-\d\d) +([█░]*) +(\d+) +(\d+) *$", shown(environment), re.MULTILINE
    )
    bars = [("█" * 30 + "░" * 10, "4", "3"), ("", "0", "0"), ("█" * 10, "1", "1")]
    assert [row[1:] for row in rows] == bars
    assert len({row[0] for row in rows}) == 3


def test_names_and_errors_steer_no_terminal(home: Path, environment: dict[str, str]) -> None:
    now = time.time()
    have(
        home,
        replace(HIT, at=now, library_id=HOSTILE, tool=HOSTILE, tier=HOSTILE),
        replace(ERROR, at=now, error=HOSTILE),
    )
    text = shown({**environment, "COLUMNS": "200"})
    assert not {sign for sign in text if not sign.isprintable()} - {"\n"}
    harmless = "/evil/\ufffd[31mred\ufffd]0;title\ufffd\ufffd[bold]kept[/bold]"
    assert text.count(harmless) == 5


class TestSince:
    def test_only_younger_calls_count(self, home: Path, environment: dict[str, str]) -> None:
        now = time.time()
        have(home, *(replace(HIT, at=now - days * DAY) for days in (0.1, 0.5, 3, 6)))
        assert "4 records read: 2 calls, " in shown(environment, "--since", "24h")
        for since, calls in (("4d", 3), ("2020-01-01", 4)):
            records = figures_of(environment, "--since", since)["records"]
            assert (records["read"], records["calls"]) == (4, calls), since
        assert figures_of(environment)["records"]["since"] == 0

    def test_where_none_is_younger_that_is_said(
        self, home: Path, environment: dict[str, str]
    ) -> None:
        have(home, replace(HIT, at=time.time() - DAY))
        assert "1 records read, none of a call since" in shown(environment, "--since", "1h")

    @pytest.mark.parametrize(
        "since", ["yesterday\x1b[31m", "0s", "2999-01-01", "0001-01-01", "9" * 99]
    )
    def test_what_is_no_time_that_is_past_is_wrong_usage(
        self, environment: dict[str, str], since: str
    ) -> None:
        done = run_product("stats", "--since", since, env=environment)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"context7-fabric: --since: {since[:40]!r} is not a time that is")


def test_without_records_that_is_said(environment: dict[str, str]) -> None:
    text = shown(environment)
    assert text.endswith("There are no records of calls yet.\n")
    assert re.search(r"^ calls this month +0 *$", text, re.MULTILINE)
    records = figures_of(environment)["records"]
    assert (records["read"], records["calls"], records["first_at"]) == (0, 0, None)
    assert records["tools"] == {}
