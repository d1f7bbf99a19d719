"""REST of the real process, asked by curl: the lines that programs use, at / and below /rag."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.client import asked, bearing, token_of, until
from support.product import Served, product_at_port, product_environment
from support.programs import needed

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
LANGCHAIN = {"query": "langchain", "collection": "library_registry", "n_results": 3}
ENTRY = {
    "documents": ["harbour"],
    "metadatas": [{"library_name": "harbour", "library_id": "/harbours/harbour"}],
    "ids": ["lib-harbour"],
}
PLACES = ("/health", "/collections", "/query", "/index", "/library-cache/stats")


@dataclass(frozen=True)
class Curl:
    """Runs curl against a server, with a token where it wants one."""

    served: Served
    token: str | None

    def __call__(self, path: str, body: object = None) -> Any:  # noqa: ANN401  # JSON
        """Send a request, a POST if there is a body, and return its reply."""
        words = [needed("curl"), "-s", "--fail-with-body", "--noproxy", "*", self.served.url(path)]
        if self.token is not None:
            words += ["-H", f"Authorization: Bearer {self.token}"]
        if body is not None:
            words += ["-X", "POST", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
        done = subprocess.run(words, capture_output=True, check=True, timeout=40)
        return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["open", "with a token"])
def curl(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Curl]:
    environment = product_environment(tmp_path_factory.mktemp("home"), OFFLINE)
    token = None if request.param == "open" else token_of("ci", environment)
    with product_at_port("http", environment) as served:
        yield Curl(served, token)


@pytest.fixture(params=["", "/rag"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_library_is_found_by_its_name(curl: Curl, prefix: str) -> None:
    results = curl(f"{prefix}/query", LANGCHAIN)["results"]
    assert 1 <= len(results) <= 3
    assert results[0]["metadata"]["library_id"].startswith("/")
    assert results[0]["relevance_score"] == 1


def test_what_is_indexed_is_found(curl: Curl, prefix: str) -> None:
    assert curl(f"{prefix}/index", ENTRY)["indexed"] == 1
    found = curl(f"{prefix}/query", {"query": "harbour"})["results"][0]
    assert found["metadata"]["library_id"] == "/harbours/harbour"


def test_collections_and_figures_are_returned(curl: Curl, prefix: str) -> None:
    assert [each["name"] for each in curl(f"{prefix}/collections")] == ["library_registry"]
    assert curl(f"{prefix}/library-cache/stats")["collection"] == "library_registry"


def test_health_gets_well_by_itself(curl: Curl, prefix: str) -> None:
    until(curl.served, lambda: curl(f"{prefix}/health")["status"] == "healthy")


def test_without_the_token_every_request_is_refused(tmp_path: Path) -> None:
    environment = product_environment(tmp_path, OFFLINE)
    token = token_of("ci", environment)
    with product_at_port("http", environment) as served:
        for place in (f"{prefix}{path}" for prefix in ("", "/rag") for path in PLACES):
            method = "POST" if place.endswith(("query", "index")) else "GET"
            assert asked(served, place, {}, ENTRY, method).status_code == 401
            assert asked(served, place, bearing(token), ENTRY, method).status_code in {200, 422}
