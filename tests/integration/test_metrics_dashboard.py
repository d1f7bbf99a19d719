"""The dashboard for Grafana: a real server exports every metric and label that it names."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.context7_api import Api
from support.metrics import scraped, watched_server
from support.product import Variables

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "context7-fabric.json"
PROMETHEUS_OWN = {"job", "instance"}
"""Labels that Prometheus puts on everything that it reads."""

_TEXT = re.compile(r'"[^"]*"')
_NAMED = re.compile(r"\b(?:context7_fabric|process|python)_\w+|\b[a-zA-Z_:]\w*(?=\s*\{)")
_SELECTED = re.compile(r"([a-zA-Z_:]\w*)\s*\{([^}]*)\}")
_MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPED = re.compile(r"\b(?:by|on|without|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Expression:
    """A query in PromQL."""

    text: str

    @property
    def bare(self) -> str:
        """The query without its quoted texts, which may contain words like names of metrics."""
        return _TEXT.sub("", self.text)

    @property
    def metrics(self) -> set[str]:
        """The metrics that it names."""
        return set(_NAMED.findall(self.bare))

    @property
    def matched(self) -> set[tuple[str, str]]:
        """The labels that it matches, each with the metric."""
        selected = _SELECTED.findall(self.bare)
        return {(name, label) for name, inside in selected for label in _MATCHED.findall(inside)}

    @property
    def grouped(self) -> set[str]:
        """The labels that it groups or joins by."""
        return {
            name.strip() for inside in _GROUPED.findall(self.bare) for name in inside.split(",")
        }


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return read


def targets() -> list[dict[str, Any]]:
    """Every query of every panel."""
    return [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]


EXPRESSIONS = [Expression(target["expr"]) for target in targets()]
VARIABLES = {each["name"]: each for each in dashboard()["templating"]["list"]}


@pytest.fixture(scope="module")
def labels(
    by_http: Variables, shared_api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, set[str]]]:
    """The labels of every series that a server exports after a hit, a miss and an error."""
    with watched_server(by_http, shared_api, tmp_path_factory.mktemp("home")) as served:
        yield scraped(served).labels


def test_every_metric_of_the_dashboard_is_exported(labels: dict[str, set[str]]) -> None:
    asked_for = {text["definition"] for text in VARIABLES.values() if text["type"] == "query"}
    for expression in (*EXPRESSIONS, *map(Expression, asked_for)):
        assert expression.metrics, expression.text
        assert expression.metrics <= set(labels), expression.text


def test_every_label_of_the_dashboard_is_exported(labels: dict[str, set[str]]) -> None:
    for expression in EXPRESSIONS:
        for metric, label in expression.matched:
            assert label in labels[metric] | PROMETHEUS_OWN, expression.text
        found = {label for metric in expression.metrics for label in labels[metric]}
        assert expression.grouped <= found | PROMETHEUS_OWN, expression.text


def test_expression_with_wrong_names_yields_them() -> None:
    wrong = Expression(
        'sum by (le, tol) (rate(contxt7_requests_total{outcom=~"process_x",job="a"}[5m]))'
        " / context7_fabric_typo"
    )
    assert wrong.metrics == {"contxt7_requests_total", "context7_fabric_typo"}
    assert wrong.matched == {("contxt7_requests_total", label) for label in ("outcom", "job")}
    assert wrong.grouped == {"le", "tol"}


def test_legends_name_labels_that_their_query_leaves() -> None:
    for target in targets():
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        aggregated = Expression(target["expr"]).grouped
        assert named <= aggregated | PROMETHEUS_OWN, target


def test_everything_asked_for_is_shown() -> None:
    shown = {metric for expression in EXPRESSIONS for metric in expression.metrics}
    wanted = """
        requests_total request_duration answer_age tokens_saved upstream_calls quota_left
        upstream_call_duration store_up model_present suggesters breakers_open executions_waiting
        flights
    """
    for name in wanted.split():
        assert any(name in metric for metric in shown), name
    assert "process_resident_memory_bytes" in shown


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for described in (*targets(), VARIABLES["job"], VARIABLES["instance"]):
        assert described["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert not any("://" in text for text in DASHBOARD.read_text("utf-8").splitlines())
