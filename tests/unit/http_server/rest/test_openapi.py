"""The OpenAPI document tells of every route, from the types that the routes use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, get_args

from starlette.requests import Request

from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.openapi import OPERATIONS, document
from context7_fabric.http_server.rest.routes import RestApi
from context7_fabric.http_server.rest.schemas import (
    MOST_DOCUMENTS,
    MOST_RESULTS,
    Entry,
    Filter,
    Metadata,
)
from context7_fabric.version import __version__
from context7_fabric.views.libraries import RankedBy


def nobody(_request: Request) -> AbstractAsyncContextManager[LibraryCollection]:
    raise AssertionError


def references(value: object) -> Iterator[str]:
    """Give every reference in a document."""
    if isinstance(value, dict):
        yield from (each for key, each in value.items() if key == "$ref")
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


def test_every_route_is_described_and_no_other() -> None:
    served = {route.path for route in RestApi(nobody).routes()}
    assert served == set(document()["paths"]) | {"/openapi.json"}


def test_every_operation_has_a_name_a_summary_and_what_it_replies() -> None:
    for operation in OPERATIONS:
        told = document()["paths"][operation.path][operation.method.lower()]
        assert told["operationId"] == operation.name
        assert told["summary"].endswith(".")
        assert {"200", "401", "429", "503"} <= set(told["responses"])
        posts = operation.method == "POST"
        assert posts == ("requestBody" in told)
        assert posts == ({"400", "404", "415", "422"} <= set(told["responses"]))


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    told = json.loads(json.dumps(document()))
    used = {each.removeprefix("#/components/schemas/") for each in references(told)}
    assert used == set(told["components"]["schemas"])


def test_the_document_says_where_it_holds() -> None:
    told = document()
    assert told["openapi"].startswith("3.1.")
    assert told["info"]["version"] == __version__
    assert [each["url"] for each in told["servers"]] == ["/", "/rag"]


def test_the_bounds_are_those_of_the_forms() -> None:
    assert schema("QueryForm")["properties"]["n_results"]["maximum"] == MOST_RESULTS
    assert schema("IndexForm")["properties"]["ids"]["maxItems"] == MOST_DOCUMENTS
    assert schema("Result")["properties"]["ranked_by"]["enum"] == list(get_args(RankedBy))


def test_all_metadata_can_be_filtered_by_and_what_is_indexed_is_among_them() -> None:
    assert set(Filter.model_fields) == set(Metadata.model_fields) > set(Entry.model_fields)
