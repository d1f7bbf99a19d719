"""A server with metrics: /metrics as Prometheus reads it, and calls that change its figures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from support.client import FASTAPI, asked, call, outcome_of, result_of
from support.context7_api import Api
from support.faults import SERVER_ERROR
from support.product import Served, Variables, product_at_port, product_environment

OURS = "context7_fabric_"


@dataclass(frozen=True)
class Scrape:
    """One reading of the page."""

    families: list[Metric]

    @property
    def labels(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for family in self.families:
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return found

    def total(self, name: str, **labels: str) -> float:
        """The sum of the series of that name (without our prefix) that have these labels."""
        samples = (sample for family in self.families for sample in family.samples)
        return sum(
            sample.value
            for sample in samples
            if sample.name == OURS + name and labels.items() <= sample.labels.items()
        )


def scraped(served: Served, headers: Mapping[str, str] | None = None) -> Scrape:
    reply = asked(served, "/metrics", headers, method="GET")
    assert reply.status_code == 200, reply.text
    return Scrape(list(text_string_to_metric_families(reply.text)))


@contextmanager
def watched_server(upstream: Variables, api: Api, home: Path) -> Iterator[Served]:
    """A server in front of `upstream` that had one miss, one hit and one error."""
    with product_at_port("http", product_environment(home, upstream)) as served:
        found = [_asked_for(served, FASTAPI, "How are routes made?") for _time in range(2)]
        api.fail(SERVER_ERROR)
        found.append(_asked_for(served, "/no-such/library", "What is there?"))
        api.heal()
        assert found == ["miss", "hit", "error"]
        yield served


def _asked_for(served: Served, library: str, question: str) -> str:
    message = call("query-docs", libraryId=library, query=question)
    return outcome_of(result_of(asked(served, message=message)))
