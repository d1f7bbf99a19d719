from __future__ import annotations

import pytest

from context7_fabric.parsing.keys import singular


@pytest.mark.parametrize(
    ("plural", "word"),
    [
        ("timeouts", "timeout"),
        ("classes", "class"),
        ("indexes", "index"),
        ("batches", "batch"),
        ("hashes", "hash"),
        ("queries", "query"),
        ("dependencies", "dependency"),
        ("aliases", "alias"),
        ("statuses", "status"),
        ("caches", "cache"),
        ("cookies", "cookie"),
        ("databases", "database"),
        ("apis", "api"),
        ("gpus", "gpu"),
        ("ids", "id"),
        ("users", "user"),
        ("settings", "setting"),
        ("schemas", "schema"),
    ],
)
def test_a_plural_has_a_singular(plural: str, word: str) -> None:
    assert singular(plural) == word
    assert singular(word) == word


@pytest.mark.parametrize(
    "word",
    [
        *("class", "redis", "status", "css", "https", "news", "this", "series", "analysis"),
        *("usematches", "getstaticprops", "v2s", "read_values", "naïves", "", "s"),
    ],
)
def test_what_is_no_plural_stays(word: str) -> None:
    assert singular(word) == word
