"""Conformance of the REST API to its OpenAPI document, for valid and invalid requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction as Check
from schemathesis.specs.openapi.checks import positive_data_acceptance

from context7_fabric.http_server.rest.routes import DOCS, INDEX, OPERATIONS, QUERY, Operation
from support.rest import at_a_port
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

EXAMPLES = 25


@pytest.fixture
async def url(tmp_path: Path) -> AsyncGenerator[str]:
    apps = scripted_app(ScriptedUpstream(), FakeClock(), tmp_path, MODEL="off")
    async with apps as app, at_a_port(app) as url:
        yield url


def hold_to_schema(url: str, operation: Operation, mode: GenerationMode) -> None:
    """Send what the document allows, or what it does not, and check each reply against it."""
    # The document does not say that lists have one length, nor which ids and names there are.
    unsaid = operation in (INDEX, DOCS)
    excluded: list[Check] | None = [positive_data_acceptance] if unsaid else None
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    schema.config.update(base_url=url)
    strategy = schema[operation.path][operation.method].as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def each(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(excluded_checks=excluded)

    each()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
async def test_every_reply_is_one_that_the_document_describes(
    url: str, operation: Operation
) -> None:
    await anyio.to_thread.run_sync(hold_to_schema, url, operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize("operation", [QUERY, INDEX], ids=lambda operation: operation.name)
async def test_what_the_document_does_not_allow_is_refused_as_it_says(
    url: str, operation: Operation
) -> None:
    await anyio.to_thread.run_sync(hold_to_schema, url, operation, GenerationMode.NEGATIVE)
