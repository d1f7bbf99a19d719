"""Transfer of test reports from a process of xdist to the one that prints them."""

from __future__ import annotations

from typing import Any

import pytest
from execnet import dumps, loads

HALF = "\ud83c"
REPORTS: dict[str, dict[str, Any]] = {
    "a log": {"sections": [("Captured log call", f"WARNING no index takes {HALF}")]},
    "a failure": {"outcome": "failed", "longrepr": f"assert 'flag' == '{HALF}'"},
    "a skip": {"outcome": "skipped", "longrepr": ("test.py", 7, f"needs {HALF}")},
    "a property": {"user_properties": [("asked", f"a{HALF}b")]},
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_with_half_an_emoji_can_be_sent(request: pytest.FixtureRequest, name: str) -> None:
    given = {"outcome": "passed", "longrepr": None, **REPORTS[name]}
    report = pytest.TestReport("test", ("test.py", 7, "test"), {}, when="call", **given)
    config = request.config
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    assert r"\ud83c" in str(loads(dumps(data)))
