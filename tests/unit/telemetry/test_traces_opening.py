"""What is not ours to read stops nobody: a variable that is of no use is told in one line."""

from __future__ import annotations

import pytest

from context7_fabric.settings import read_settings
from context7_fabric.telemetry.opening import open_traces


def test_an_endpoint_that_cannot_be_used_is_told_and_no_traces_are_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}).telemetry
    assert open_traces(settings, str) is None
    (said,) = caplog.messages
    assert said.startswith("no traces are made: OTEL_EXPORTER_OTLP_ENDPOINT")


def test_where_nothing_is_asked_for_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert open_traces(read_settings({}).telemetry, str) is None
    assert caplog.messages == []
