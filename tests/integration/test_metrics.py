"""/metrics of the real process: the counts of calls, the access to it, its document."""

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from context7_fabric.http_server.app import MOST_IDENTITIES
from context7_fabric.runtime.health import STORE_SECONDS
from support.client import FASTAPI, LIST, PLAIN, asked, bearing, call, result_of, token_of, until
from support.context7_api import Api
from support.metrics import OURS, Scrape, scraped, watched_server
from support.processes import one_within, seconds_of
from support.product import Served, Variables, product_at_port, product_environment
from support.redis_servers import redis_server

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\| ", re.MULTILINE)
OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
KEY = "ctx7sk-hush-hush"
OPEN_METRICS = {"accept": "application/openmetrics-text; version=1.0.0; charset=utf-8"}


@pytest.fixture(scope="module")
def watched(
    by_http: Variables, shared_api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that had one hit, one miss and one error."""
    with watched_server(by_http, shared_api, tmp_path_factory.mktemp("home")) as served:
        yield served


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return product_environment(home, OFFLINE)


def test_metrics_count_hits_misses_and_errors_apart(watched: Served) -> None:
    scrape = scraped(watched)
    expected = {("miss", "upstream"): 1, ("hit", "question"): 1, ("error", "upstream"): 1}
    for (outcome, tier), count in expected.items():
        labels = {"tool": "query-docs", "outcome": outcome, "tier": tier}
        assert (labels, scrape.total("requests_total", **labels)) == (labels, count)
    assert scrape.total("request_duration_seconds_count", tool="query-docs", outcome="hit") == 1
    assert scrape.total("answer_age_seconds_count") == 2


def test_metrics_count_calls_upstream_by_outcome(watched: Served) -> None:
    scrape = scraped(watched)
    assert scrape.total("upstream_calls_total", ended="answered") == 1
    assert scrape.total("upstream_calls_total", ended="failed") == 1
    assert scrape.total("upstream_call_duration_seconds_count") == 2
    assert scrape.total("upstream_connections") == 1


def test_metrics_show_the_state_of_the_server(watched: Served) -> None:
    scrape = scraped(watched)
    assert scrape.total("store_up") == 1
    assert scrape.total("store_info", backend="disk") == 1
    assert scrape.total("apps") == 1
    assert scrape.total("suggesters", state="off") == 1
    # The seed is read in the background of the first calls.
    until(watched, lambda: scraped(watched).total("registry_rows") > 400)


def test_metrics_are_those_of_the_table_in_the_document(watched: Served) -> None:
    written = {name: (kind, _words(labels)) for name, kind, labels in ROW.findall(DOCUMENT)}
    assert written == _families(scraped(watched))


def test_metrics_on_request_are_in_the_openmetrics_format(watched: Served) -> None:
    reply = asked(watched, "/metrics", OPEN_METRICS, method="GET")
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0;")
    assert reply.text.endswith("# EOF\n")
    families: list[Metric] = list(text_string_to_metric_families(reply.text))  # type: ignore[no-untyped-call]  # the library's only one
    assert f"{OURS}requests" in {family.name for family in families}


def test_metrics_refuse_methods_that_write(watched: Served) -> None:
    head = asked(watched, "/metrics", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for method in ("POST", "PUT", "DELETE"):
        refused = asked(watched, "/metrics", method=method)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_metrics_contain_no_question_and_no_key(watched: Served) -> None:
    sent = {"context7-api-key": KEY}
    for message in (
        call("query-docs", libraryId=f"{FASTAPI}/hush", query="hush?"),
        call("resolve-library-id", libraryName="hush", query="hush?"),
        call("hush", hush="hush"),
        call("query-docs", hush="hush"),
    ):
        assert asked(watched, headers=sent, message=message).status_code == 200
    page = asked(watched, "/metrics", sent, method="GET").text
    assert "resolve-library-id" in page
    for private in ("hush", FASTAPI, FASTAPI.split("/")[1]):
        assert private not in page


@pytest.mark.parametrize("transport", ["http", "sse"])
def test_reading_metrics_opens_no_app(environment: dict[str, str], transport: str) -> None:
    with product_at_port(transport, environment) as served:
        with httpx2.Client(verify=PLAIN, trust_env=False, timeout=40) as prometheus:
            for number in range(MOST_IDENTITIES + 1):
                key = {"context7-api-key": f"ctx7sk-{number}"}
                assert prometheus.get(served.url("/metrics"), headers=key).status_code == 200
        assert scraped(served).total("apps") == 0
        assert asked(served).status_code == 200
        assert scraped(served).total("apps") == 1


def test_metrics_with_tokens_need_one(
    environment: dict[str, str],
) -> None:
    token = token_of("prometheus", environment)
    with product_at_port("http", environment) as served:
        for headers in ({}, bearing(token[:-1]), {"x-api-key": token}):
            refused = asked(served, "/metrics", headers, method="GET")
            assert refused.status_code == 401
            assert OURS not in refused.text
        assert result_of(asked(served, headers=bearing(token), message=LIST))["tools"]
        scrape = scraped(served, bearing(token))
        assert scrape.total("apps") == 1
        assert "prometheus" not in {value for _name, value in _pairs(scrape)}


def test_metrics_with_a_store_that_hangs_are_served(environment: dict[str, str]) -> None:
    with redis_server() as redis:
        on_redis = environment | {"CONTEXT7_FABRIC_BACKEND": redis.url}
        with product_at_port("http", on_redis) as served:
            assert asked(served).status_code == 200
            assert scraped(served).total("store_info", backend="redis") == 1
            assert scraped(served).total("store_up") == 1
            with redis.held():
                one_within(STORE_SECONDS + 2, partial(seconds_of, partial(scraped, served)))
                scrape = scraped(served)
            assert (scrape.total("store_up"), scrape.total("apps")) == (0, 1)
            until(served, lambda: scraped(served).total("store_up") == 1)


def test_import_of_the_stdio_server_loads_no_prometheus_client() -> None:
    program = """
import sys
import context7_fabric.cli.serve, context7_fabric.runtime.runtime, context7_fabric.mcp_server.stdio
print("prometheus_client" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]


def _families(scrape: Scrape) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the kind and labels of each metric of ours by its name in the document."""
    families = {}
    for family in scrape.families:
        if family.name.startswith(OURS) and not family.name.endswith("_created"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            families[name] = (family.type, frozenset(labels))
    return families


def _words(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(", ")))


def _pairs(scrape: Scrape) -> set[tuple[str, str]]:
    samples = (sample for family in scrape.families for sample in family.samples)
    return {pair for sample in samples for pair in sample.labels.items()}
