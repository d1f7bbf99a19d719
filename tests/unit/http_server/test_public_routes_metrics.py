"""The page for Prometheus as an application: what it answers to, and in which format."""

from __future__ import annotations

import pytest

from context7_fabric.http_server.public_routes import metrics_endpoint
from context7_fabric.telemetry.observer import StateFigures, StoreFigures
from unit.http_server.requests import asked, scope_of

FIGURES = StateFigures("1", "memory", StoreFigures(), 0, 0, 0, 0, 0, 0, {}, 0, 0)


async def figures() -> StateFigures:
    return FIGURES


def write(given: StateFigures, accept: str) -> tuple[bytes, str]:
    assert given is FIGURES
    return b"written", f"text/{accept or 'nothing'}"


PAGE = metrics_endpoint(figures, write)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("headers", "kind"), [({}, "nothing"), ({"Accept": "some"}, "some")])
async def test_a_page_is_what_was_written_for_the_header(
    method: str, headers: dict[str, str], kind: str
) -> None:
    answer = await asked(PAGE, scope_of(headers, method=method))
    assert (answer.status, answer.body) == (200, b"written")
    assert answer.headers["content-type"] == f"text/{kind}"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_it_can_only_be_read(method: str) -> None:
    answer = await asked(PAGE, scope_of(method=method))
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.error
