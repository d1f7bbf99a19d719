"""Receivers of traces, read from the variables of LangSmith and OpenTelemetry."""

from __future__ import annotations

import pytest

from context7_fabric.errors import SettingError
from context7_fabric.settings import read_settings
from context7_fabric.settings.values import LangSmithTarget, TelemetrySettings

KEY = "lsv2_pt_S3CR3T"
OURS = "http://collector:4318"


def telemetry(**variables: str) -> TelemetrySettings:
    return read_settings(variables).telemetry


def test_receivers_without_variables_are_none() -> None:
    assert telemetry() == TelemetrySettings()
    assert not telemetry().wanted
    assert not telemetry(LANGSMITH_PROJECT="p", LANGSMITH_TRACING="true").wanted


class TestLangSmith:
    def test_langsmith_key_alone_selects_langsmith(self) -> None:
        url = "https://api.smith.langchain.com/otel/v1/traces"
        assert telemetry(LANGSMITH_API_KEY=f" {KEY} ").langsmith == LangSmithTarget(url, KEY)

    @pytest.mark.parametrize("end", ["", "/"])
    def test_project_and_endpoint_can_be_named(self, end: str) -> None:
        endpoint = f"https://eu.api.smith.langchain.com{end}"
        target = telemetry(
            LANGSMITH_API_KEY=KEY, LANGSMITH_PROJECT="docs", LANGSMITH_ENDPOINT=endpoint
        ).langsmith
        assert target is not None
        assert target.url == "https://eu.api.smith.langchain.com/otel/v1/traces"
        assert target.project == "docs"

    @pytest.mark.parametrize(
        ("tracing", "wanted"), [("true", True), ("TRUE", True), ("", True), ("false", False)]
    )
    def test_langsmith_tracing_switch_is_obeyed(self, tracing: str, wanted: bool) -> None:
        assert telemetry(LANGSMITH_API_KEY=KEY, LANGSMITH_TRACING=tracing).wanted is wanted

    def test_the_key_is_not_shown(self) -> None:
        assert KEY not in repr(telemetry(LANGSMITH_API_KEY=KEY))

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("LANGSMITH_API_KEY", "lsv2_pt_\nx: y"),
            ("LANGSMITH_PROJECT", "überall"),
            ("LANGSMITH_ENDPOINT", "smith.example.com"),
            ("LANGSMITH_ENDPOINT", "https://[::"),
        ],
    )
    def test_langsmith_value_that_is_invalid_leaves_no_receiver(self, name: str, text: str) -> None:
        given = telemetry(**{"LANGSMITH_API_KEY": KEY, name: text})
        assert not given.wanted
        assert given.problem is not None
        assert given.problem.startswith(name)
        assert "lsv2_pt" not in given.problem


class TestOpenTelemetry:
    def test_otlp_traces_endpoint_has_precedence(self) -> None:
        assert telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=OURS).otlp == OURS
        own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{OURS}/traces"}
        assert telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=OURS, **own).otlp == f"{OURS}/traces"

    def test_both_receivers_can_be_named(self) -> None:
        both = telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=OURS, LANGSMITH_API_KEY=KEY)
        assert both.langsmith is not None
        assert both.otlp is not None

    def test_otel_traces_exporter_none_leaves_langsmith_alone(self) -> None:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": OURS, "LANGSMITH_API_KEY": KEY}
        assert telemetry(OTEL_TRACES_EXPORTER="none", **named).otlp is None
        assert telemetry(OTEL_TRACES_EXPORTER="none", **named).wanted

    def test_otel_sdk_disabled_leaves_no_receiver(self) -> None:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": OURS, "LANGSMITH_API_KEY": KEY}
        assert not telemetry(OTEL_SDK_DISABLED="true", **named).wanted

    def test_service_name_is_ours_by_default(self) -> None:
        assert telemetry().service == "context7-fabric"
        assert telemetry(OTEL_SERVICE_NAME="docs").service == "docs"

    def test_otlp_endpoint_without_http_is_a_problem(self) -> None:
        given = telemetry(OTEL_EXPORTER_OTLP_ENDPOINT="collector:4317")
        assert not given.wanted
        assert given.problem is not None
        assert given.problem.startswith("OTEL_EXPORTER_OTLP_ENDPOINT")


@pytest.mark.parametrize(("text", "content"), [("", False), ("off", False), ("ON", True)])
def test_content_is_off_by_default(text: str, content: bool) -> None:
    assert telemetry(CONTEXT7_FABRIC_TRACE_CONTENT=text).content is content


def test_content_is_on_or_off() -> None:
    with pytest.raises(SettingError, match="CONTEXT7_FABRIC_TRACE_CONTENT"):
        telemetry(CONTEXT7_FABRIC_TRACE_CONTENT="redacted")
