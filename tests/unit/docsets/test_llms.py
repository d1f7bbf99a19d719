"""Forms of files for models: pages and links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.docsets.sources.llms import is_list, links, pages

BASE = "https://docs.example.org/llms-full.txt"


def read(text: str) -> list[tuple[str, str, str]]:
    return [(page.url, page.title, page.text) for page in pages(text, BASE)]


def test_pages_with_sources_below_headings() -> None:
    text = """# Intro
Source: https://docs.example.org/intro

Hello.

```sh
# not a page
Source: https://docs.example.org/no
```

---

# Setup

URL: /setup
Source: https://raw.example.org/setup.mdx

## Part
Text."""
    assert read(text) == [
        (
            "https://docs.example.org/intro",
            "Intro",
            "# Intro\n\nHello.\n\n```sh\n# not a page\nSource: https://docs.example.org/no\n```",
        ),
        ("https://docs.example.org/setup", "Setup", "# Setup\n\n\n## Part\nText."),
    ]


def test_pages_with_front_matter() -> None:
    text = """---
url: /guide/a.md
title: "A"
---
# A

One.

---
url: /guide/b.md
---

# B"""
    assert read(text) == [
        ("https://docs.example.org/guide/a.md", "A", "# A\n\nOne."),
        ("https://docs.example.org/guide/b.md", "", "# B"),
    ]


def test_pages_without_addresses_begin_at_headings_of_the_first_level() -> None:
    text = "<SYSTEM>Docs</SYSTEM>\n\n# One\n\n## Part\n\n# Two\n---\ntitle: x\n---\nText"
    assert read(text) == [
        ("", "", "<SYSTEM>Docs</SYSTEM>"),
        ("", "One", "# One\n\n## Part"),
        ("", "Two", "# Two\n---\ntitle: x\n---\nText"),
    ]


def test_pages_without_headings_are_one() -> None:
    assert read("Just text.\n") == [("", "", "Just text.")]
    assert read("\n\n---\n") == []


def test_pages_with_addresses_of_no_use_have_none() -> None:
    assert [page.url for page in pages("# A\nSource: https://a@b/x\n", BASE)] == [""]
    assert [page.url for page in pages("# A\nSource: https://a{b}.org/x\n", BASE)] == [""]


LIST = """# Project

> Summary

Some words.

## Docs

- [A](https://docs.example.org/a): first
- [B](/b.md#part): second
* [C](c)
- [Again](https://docs.example.org/a#x)
- [Elsewhere](https://other.org/d)
- [Mail](mailto:x@example.org) [Script](javascript:x)
- [Full](/llms-full.txt)

## Optional

1. [E](/e)

## More
- [F](/f)
"""


def test_links_are_those_of_the_own_host_with_optional_ones_last() -> None:
    host = "https://docs.example.org"
    assert links(LIST, BASE) == [f"{host}{path}" for path in ("/a", "/b.md", "/c", "/f", "/e")]


def test_links_to_other_files_for_models_count_where_there_are_no_pages() -> None:
    text = "- [S](/docs/svelte/llms.txt)\n- [K](/docs/kit/llms-small.txt)\n- [x](/llms-full.txt)"
    host = "https://docs.example.org/docs"
    assert links(text, BASE) == [f"{host}/svelte/llms.txt", f"{host}/kit/llms-small.txt"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LIST, True),
        ("# A\n\n- [A](/a)\n- [B](/b)\n\nText.\nText.\nText.\n", False),
        ("# A\n\n- [A](/a)\n", False),
        ("", False),
    ],
)
def test_is_list_of_a_text(text: str, *, expected: bool) -> None:
    assert is_list(text) is expected


@given(st.text("#-`~: ab/\nSource:url[]()* ", max_size=200) | st.text(max_size=200))
def test_pages_of_any_text_keep_its_words(text: str) -> None:
    found = pages(text, BASE)
    kept = {word for page in found for word in page.text.split()}
    dropped = {word for line in text.splitlines() if ":" in line for word in line.split()}
    assert {word for word in text.split() if word.strip("-=*")} <= kept | dropped
    assert all(page.url == "" or page.url.startswith("http") for page in found)
    links(text, BASE)
    is_list(text)
