from __future__ import annotations

import pytest

from context7_fabric.parsing.snippets import Fences, closes_fence, open_fences, prose_lines


@pytest.mark.parametrize(
    ("text", "fences"),
    [
        ("", []),
        ("a\nb", []),
        ("```\na", [3]),
        ("```\na\n```", []),
        ("```python\na\n``` \nb", []),
        ("```APIDOC\n```json\n{}", [3, 3]),
        ("```APIDOC\n```json\n{}\n```", [3]),
        ("```APIDOC\n```json\n{}\n```\n```", []),
        ("```APIDOC\n```\n{}\n```", [3]),
        ("```APIDOC\n```\n{}\n```\n```", []),
        ("````markdown\n```\na\n```", [4]),
        ("````markdown\n```js\na\n```\n`````", []),
        ("  ```\n> ```\n- ```", []),
        ("```a`b\nc", []),
    ],
)
def test_fences_are_counted_as_upstream_nests_them(text: str, fences: Fences) -> None:
    assert open_fences(text.split("\n")) == fences


def test_the_count_goes_on_from_the_fences_before() -> None:
    assert open_fences(["a", "```"], [4, 3]) == [4]
    assert open_fences(["a", "```"], [4]) == [4]


def test_only_a_bare_fence_closes() -> None:
    lines = ("```", "```` ", "```js", " ```", "", "```a```")
    assert [line for line in lines if closes_fence(line)] == ["```", "```` "]


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("", ""),
        ("a\n```\nb\n```\nc", "a\n\n\n\nc"),
        ("a\n```md\n```js\nb\n```\n```\nc", "a\n\n\n\n\n\nc"),
        ("a\n```\nb", "a\n```\nb"),
        ("```\na\n```\nb\n```js\nc\n```\n```\nd", "\n\n\nb\n\n\n\n```\nd"),
    ],
)
def test_code_is_blanked_and_what_follows_an_open_fence_is_not(text: str, prose: str) -> None:
    assert prose_lines(text.split("\n")) == prose.split("\n")
