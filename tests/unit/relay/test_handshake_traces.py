"""The receiver of traces is part of a daemon's identity, and is not sent in the clear."""

from __future__ import annotations

import ast

import pytest

from context7_fabric.relay.handshake import SERVE, TELEMETRY_ENVIRONMENT, hello, identity

HOME = {"CONTEXT7_FABRIC_HOME": "/home/of/ours"}


@pytest.mark.parametrize("name", [*TELEMETRY_ENVIRONMENT, "CONTEXT7_FABRIC_TRACE_CONTENT"])
def test_other_traces_are_another_daemons(name: str) -> None:
    assert identity({**HOME, name: "a"}) != identity({**HOME, name: "b"})
    assert identity({**HOME, name: "a"}) != identity(HOME)
    assert identity({**HOME, name: ""}) == identity(HOME)


def test_no_key_is_said() -> None:
    keys = {"LANGSMITH_API_KEY": "lsv2_pt_1", "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=lsv2_pt_2"}
    line = hello(SERVE, {**HOME, **keys}, "/", None)
    assert ast.literal_eval(line.decode())["identity"] == identity({**HOME, **keys})
    assert b"lsv2_pt" not in line
