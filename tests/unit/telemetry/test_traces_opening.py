"""Start of traces: a variable that cannot be used is logged in one line and stops nothing."""

from __future__ import annotations

import pytest

from context7_fabric.settings import read_settings
from context7_fabric.telemetry.observer import open_traces


def test_open_traces_with_an_unusable_endpoint_logs_it_and_makes_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}).telemetry
    assert open_traces(settings, str) is None
    (logged,) = caplog.messages
    assert logged.startswith("no traces are made: OTEL_EXPORTER_OTLP_ENDPOINT")


def test_open_traces_without_settings_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert open_traces(read_settings({}).telemetry, str) is None
    assert caplog.messages == []
