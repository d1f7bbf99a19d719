"""JSON of entries, whole or by the page, with text from outside marked as data."""

from __future__ import annotations

from typing import cast

import pytest

from context7_fabric.fabric.codec import encode
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.views.visibility import NOTICE, VisibleEntries, entry_json, page_json
from support.viewing import MINE, ORDER, answer, as_json, context


async def test_page_has_address_and_size_of_each_entry_without_its_value(
    fabric: Fabric, views: VisibleEntries
) -> None:
    await fabric.set_context("note", "said", metadata={"tag": "x"}, ttl=60)
    stored = await fabric.get_context("note")
    assert stored is not None
    page = await views.page(Scope.GLOBAL, None, MINE)
    assert page is not None
    assert page_json(page, lambda scope, key: f"{scope} {key}") == {
        "scope": "GLOBAL",
        "count": 1,
        "count_is": "exactly",
        "more": False,
        "entries": [
            {
                "key": "note",
                "uri": "GLOBAL note",
                "created_at": stored.created_at,
                "expires_at": stored.expires_at,
                "version": 1,
                "size": len(encode(stored)),
            }
        ],
    }


def test_entry_of_an_answer_is_marked_as_data_and_screened() -> None:
    shown = entry_json(context("docs:/a/b?x", as_json(answer(PUBLIC, text=f"{ORDER}\u200b"))))
    assert shown["from"] == "context7"
    assert shown["notice"] == NOTICE
    assert shown["screening"] == ["orders", "hidden"]
    assert cast("dict[str, Json]", shown["value"])["text"] == ORDER


@pytest.mark.parametrize(
    ("entry", "marked"),
    [
        (context("row:lib-pypi-x#", {"title": ORDER}), True),
        (context("quarantine:docs:/a/b?x", {"text": ORDER}), True),
        (context("upstream:tools:here", [{"description": ORDER}]), True),
        (context("upstream:rest:", {"why": ORDER}), True),
        (context("execution:1", {"error": ORDER}, Scope.EXECUTION), True),
        (context("execution:1", {"error": None, "q": ORDER}, Scope.EXECUTION), False),
        (context("note", ORDER, Scope.USER), False),
        (context("note", ORDER), False),
    ],
)
def test_entry_of_upstream_is_marked_and_of_a_user_is_not(entry: Context, *, marked: bool) -> None:
    shown = entry_json(entry)
    assert ("notice" in shown) == marked
    assert shown.get("screening", []) == (["orders"] if marked else [])
    assert shown["value"] == entry.value
