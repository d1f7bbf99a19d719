"""What a benchmark cannot do without: whether it is there, and how it is told that it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest


def lacking(get: Callable[[], object]) -> str | None:
    """Return why what `get` gets cannot be had, in a test's words; None where it can."""
    try:
        get()
    except pytest.skip.Exception as reason:
        return str(reason)
    return None


def refuse(why: str) -> int:
    """Tell why nothing is measured, and return the exit code for it."""
    print(why, file=sys.stderr)
    return 2
