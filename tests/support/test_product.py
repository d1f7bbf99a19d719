"""Recognition of the commands whose mode TEST_DAEMON chooses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from support.product import BY_ITSELF, PROGRAM, product_environment, serves_either_way

HOME = Path("home")


@pytest.mark.parametrize(
    ("words", "either"),
    [
        ([PROGRAM], True),
        ([PROGRAM, "serve", "--yes"], True),
        (["unshare", "--net", PROGRAM, "--api-key", "key"], True),
        ([PROGRAM, "--transport", "http"], False),
        ([PROGRAM, "stats", "--json"], False),
        (["node", "index.js"], False),
    ],
)
def test_a_server_on_stdio_is_distinguished_from_other_processes(
    words: Sequence[str], either: bool
) -> None:
    assert serves_either_way(words, product_environment(HOME)) == either
    assert not serves_either_way(words, product_environment(HOME, BY_ITSELF))
