"""The table of vectors finds exactly what a plain list of them would find."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context7_fabric.embedding import VectorTable

KEYS = st.integers(0, 20).map(str)
ANGLES = st.integers(0, 359)
CHANGES = st.one_of(st.dictionaries(KEYS, ANGLES), st.sets(KEYS))


def vector(angle: int) -> list[float]:
    return [math.cos(math.radians(angle)), math.sin(math.radians(angle))]


@settings(deadline=None)  # the first example imports numpy
@given(st.lists(CHANGES, max_size=8), ANGLES, st.integers(0, 30))
def test_nearest_returns_the_greatest_cosines_after_any_changes(
    changes: list[dict[str, int] | set[str]], asked: int, limit: int
) -> None:
    table, plain = VectorTable(2), dict[str, int]()
    for change in changes:
        if isinstance(change, dict):
            table.put({key: vector(angle) for key, angle in change.items()})
            plain |= change
        else:
            table.remove(change)
            plain = {key: angle for key, angle in plain.items() if key not in change}
    found = table.nearest(vector(asked), limit)
    cosines = {key: math.cos(math.radians(angle - asked)) for key, angle in plain.items()}
    assert [cosine for _, cosine in found] == pytest.approx(
        sorted(cosines.values(), reverse=True)[:limit], abs=1e-5
    )
    assert all(cosines[key] == pytest.approx(cosine, abs=1e-5) for key, cosine in found)
