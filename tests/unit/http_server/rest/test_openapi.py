"""The OpenAPI document describes every route, from the types that the routes use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from context7_fabric.http_server.rest.collection import LibraryCollection
from context7_fabric.http_server.rest.routes import OPERATIONS, openapi_document, rest_routes
from context7_fabric.http_server.rest.schemas import (
    MOST_DOCUMENTS,
    MOST_RESULTS,
    Entry,
    Filter,
    Metadata,
)
from context7_fabric.models import Viewer
from context7_fabric.runtime.app import App
from context7_fabric.version import __version__
from context7_fabric.views.libraries import RankedBy


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
    found: dict[str, Any] = openapi_document()["components"]["schemas"][name]
    return found


async def test_openapi_of_all_routes_describes_each_and_no_other(app: App) -> None:
    collection = LibraryCollection(app.services, Viewer(app.principal))
    served = {route.path for route in rest_routes(collection)}
    assert served == set(openapi_document()["paths"]) | {"/openapi.json"}


def test_every_operation_has_a_name_a_summary_and_what_it_replies() -> None:
    for operation in OPERATIONS:
        reply = openapi_document()["paths"][operation.path][operation.method.lower()]
        assert reply["operationId"] == operation.name
        assert reply["summary"].endswith(".")
        assert {"200", "401", "429", "503"} <= set(reply["responses"])
        posts = operation.method == "POST"
        assert posts == ("requestBody" in reply)
        assert posts == ({"400", "404", "415", "422"} <= set(reply["responses"]))


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    reply = json.loads(json.dumps(openapi_document()))
    used = {each.removeprefix("#/components/schemas/") for each in references(reply)}
    assert used == set(reply["components"]["schemas"])


def test_the_document_says_where_it_holds() -> None:
    reply = openapi_document()
    assert reply["openapi"].startswith("3.1.")
    assert reply["info"]["version"] == __version__
    assert [each["url"] for each in reply["servers"]] == ["/", "/rag"]


def test_the_bounds_are_those_of_the_forms() -> None:
    assert schema("QueryForm")["properties"]["n_results"]["maximum"] == MOST_RESULTS
    assert schema("IndexForm")["properties"]["ids"]["maxItems"] == MOST_DOCUMENTS
    assert schema("Result")["properties"]["ranked_by"]["enum"] == list(get_args(RankedBy))


def test_all_metadata_can_be_filtered_by_and_what_is_indexed_is_among_them() -> None:
    assert set(Filter.model_fields) == set(Metadata.model_fields) > set(Entry.model_fields)
