"""Who gets traces, by LangSmith's variables and OpenTelemetry's."""

from __future__ import annotations

import pytest

from context7_fabric.errors import SettingError
from context7_fabric.settings import read_settings
from context7_fabric.settings.values import LangSmithTarget, TelemetrySettings

KEY = "lsv2_pt_S3CR3T"
OURS = "http://collector:4318"


def telemetry(**variables: str) -> TelemetrySettings:
    return read_settings(variables).telemetry


def test_nobody_gets_traces_unasked() -> None:
    assert telemetry() == TelemetrySettings()
    assert not telemetry().wanted
    assert not telemetry(LANGSMITH_PROJECT="p", LANGSMITH_TRACING="true").wanted


class TestLangSmith:
    def test_a_key_is_enough(self) -> None:
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
    def test_its_own_switch_is_obeyed(self, tracing: str, wanted: bool) -> None:
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
    def test_what_cannot_be_sent_is_sent_to_nobody(self, name: str, text: str) -> None:
        told = telemetry(**{"LANGSMITH_API_KEY": KEY, name: text})
        assert not told.wanted
        assert told.problem is not None
        assert told.problem.startswith(name)
        assert "lsv2_pt" not in told.problem


class TestOpenTelemetry:
    def test_traces_may_have_an_endpoint_of_their_own(self) -> None:
        assert telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=OURS).otlp == OURS
        own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{OURS}/traces"}
        assert telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=OURS, **own).otlp == f"{OURS}/traces"

    def test_both_may_get_them(self) -> None:
        both = telemetry(OTEL_EXPORTER_OTLP_ENDPOINT=OURS, LANGSMITH_API_KEY=KEY)
        assert both.langsmith is not None
        assert both.otlp is not None

    def test_no_exporter_of_traces_is_none(self) -> None:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": OURS, "LANGSMITH_API_KEY": KEY}
        assert telemetry(OTEL_TRACES_EXPORTER="none", **named).otlp is None
        assert telemetry(OTEL_TRACES_EXPORTER="none", **named).wanted

    def test_disabled_is_disabled(self) -> None:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": OURS, "LANGSMITH_API_KEY": KEY}
        assert not telemetry(OTEL_SDK_DISABLED="true", **named).wanted

    def test_the_service_has_our_name_unless_another_is_given(self) -> None:
        assert telemetry().service == "context7-fabric"
        assert telemetry(OTEL_SERVICE_NAME="docs").service == "docs"

    def test_an_endpoint_of_another_protocol_is_for_others(self) -> None:
        told = telemetry(OTEL_EXPORTER_OTLP_ENDPOINT="collector:4317")
        assert not told.wanted
        assert told.problem is not None
        assert told.problem.startswith("OTEL_EXPORTER_OTLP_ENDPOINT")


@pytest.mark.parametrize(("text", "content"), [("", False), ("off", False), ("ON", True)])
def test_content_stays_unless_it_is_asked_for(text: str, content: bool) -> None:
    assert telemetry(CONTEXT7_FABRIC_TRACE_CONTENT=text).content is content


def test_content_is_on_or_off() -> None:
    with pytest.raises(SettingError, match="CONTEXT7_FABRIC_TRACE_CONTENT"):
        telemetry(CONTEXT7_FABRIC_TRACE_CONTENT="redacted")
