from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.parsing.snippets import Snippet, join_snippets, parse_snippets
from unit.parsing.texts import (
    APIDOC,
    BETWEEN,
    CODE,
    DOCS,
    INFO,
    INFO_WITH_FENCE,
    OLD_BLOCK,
    OLD_DOCS,
    README,
    TWO_FENCES,
    shared,
)

TIDES = Snippet("info", "Harbour > Tides", "https://harbour.example/concepts/tides", INFO)
QUOTED = CODE.replace("```python", "```").replace("Moor a boat", "Moor a ship")


def shapes(text: str) -> list[tuple[str, str]]:
    return [(snippet.kind, snippet.title) for snippet in parse_snippets(text)]


def test_documentation_is_read_snippet_by_snippet() -> None:
    assert parse_snippets(DOCS) == (
        Snippet("code", "Moor a boat", "https://harbour.example/guide/mooring", CODE),
        Snippet("code", "POST /berths", "https://harbour.example/api", APIDOC),
        TIDES,
        Snippet(
            "info",
            "Harbour > Lights",
            "https://harbour.example/concepts/lights",
            INFO_WITH_FENCE,
        ),
    )


@pytest.mark.parametrize(
    ("texts", "kinds"),
    [
        ([CODE], "c"),
        ([INFO], "i"),
        ([CODE, TWO_FENCES, APIDOC], "ccc"),
        ([INFO, INFO_WITH_FENCE], "ii"),
        ([INFO_WITH_FENCE, INFO], "ii"),
    ],
)
def test_snippets_joined_by_rules_alone_are_of_one_kind(texts: list[str], kinds: str) -> None:
    found = parse_snippets(BETWEEN.join(texts))
    assert [snippet.text for snippet in found] == texts
    assert "".join(snippet.kind[0] for snippet in found) == kinds


def test_code_turns_into_information_at_a_blank_line_without_a_rule() -> None:
    assert shapes(f"{TWO_FENCES}\n\n{INFO_WITH_FENCE}") == [
        ("code", "Open the harbour"),
        ("info", "Harbour > Lights"),
    ]


def test_a_heading_with_a_source_in_running_prose_begins_no_snippet() -> None:
    for text in (f"{INFO}\n\n{INFO}", f"{CODE}\n\n{INFO_WITH_FENCE}\n\n{INFO}"):
        found = parse_snippets(text)
        assert found[-1].text.endswith(INFO)
        assert len(found) == text.count("```python") + 1


@pytest.mark.parametrize("quoted", [QUOTED, f"{QUOTED}{BETWEEN}{QUOTED}", INFO])
def test_documentation_quoted_in_a_fence_stays_inside_its_snippet(quoted: str) -> None:
    quoting = f"{CODE}\n\n```markdown\n{quoted.replace('```', '````')}\n```"
    for fence in (quoting, quoting.replace("```markdown", "`````markdown") + "``"):
        assert len(parse_snippets(f"{fence}{BETWEEN}{APIDOC}\n\n{INFO}")) == 3


@pytest.mark.parametrize("stray", ["```", "```js", "```\n\n```js\nlost()"])
def test_a_fence_that_is_never_closed_costs_no_more_than_its_own_snippet(stray: str) -> None:
    broken = f"{CODE}\n{stray}"
    text = f"{TWO_FENCES}{BETWEEN}{broken}{BETWEEN}{APIDOC}\n\n{INFO}{BETWEEN}{INFO_WITH_FENCE}"
    assert shapes(text) == [
        ("code", "Open the harbour"),
        ("code", "Moor a boat"),
        ("code", "POST /berths"),
        ("info", "Harbour > Tides"),
        ("info", "Harbour > Lights"),
    ]
    assert join_snippets(parse_snippets(text)) == text


def test_windows_line_ends_are_read() -> None:
    found = parse_snippets(DOCS.replace("\n", "\r\n"))
    assert [(snippet.kind, snippet.title) for snippet in found] == shapes(DOCS)
    assert found[2].text == INFO.replace("\n", "\r\n")
    assert found[2].source == TIDES.source


def test_the_form_before_2025_is_read_as_code() -> None:
    banner = "=" * 24
    for text in (OLD_DOCS, f"{banner}\nCODE SNIPPETS\n{banner}\n{OLD_DOCS}\n"):
        found = parse_snippets(text)
        assert [snippet.kind for snippet in found] == ["code", "code"]
        assert found[0].title == "Weigh a catch"
        assert found[0].source == "https://harbour.example/old#_snippet_3"
        assert join_snippets(found) == OLD_DOCS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "Moor a boat with `quay.moor`.",
        README,
        f"Quota exceeded.\n\n{DOCS}",
        f"Quota exceeded.\n{DOCS}",
        CODE.replace("### ", "## "),
        CODE.replace("### Moor a boat", "###  "),
        CODE.replace("https://", "see "),
        CODE.replace("Source: ", "From: "),
        CODE.replace("boat\n\n", "boat\n"),
        "### Moor a boat",
        "### Moor a boat\n",
        f"```\n{CODE}\n```",
        OLD_BLOCK.replace("SOURCE: ", "FROM: "),
        OLD_BLOCK.replace("TITLE: ", "TITLE:"),
        OLD_BLOCK.removesuffix("```"),
        f"{OLD_DOCS}\n\nQuota exceeded.",
        "=" * 24,
        '{"codeSnippets": []}',
    ],
)
def test_what_is_not_wholly_snippets_is_none(text: str) -> None:
    assert parse_snippets(text) == ()


def test_snippets_are_written_code_first() -> None:
    code, api, tides, lights = parse_snippets(DOCS)
    assert join_snippets([tides, code, lights, api]) == DOCS
    assert join_snippets([tides]) == INFO
    assert join_snippets([]) == ""


WORD = st.text(st.sampled_from("aB1é>[-.:"), min_size=1, max_size=6)
PROSE = st.lists(st.sampled_from(["text", "> quoted", "#### More", "- item\n- item", "Source: x"]))
NESTED = st.sampled_from(["x = 1", "### Note\ntext", "```json\n{}\n```", "```\nplain\n```", ""])
FENCE = st.builds("```{}\n{}\n```".format, st.sampled_from(["", "js", "APIDOC"]), NESTED)
HEAD = st.builds("### {}\n\nSource: https://{}".format, WORD, WORD)
CODES = st.lists(st.builds("{}\n\n{}".format, HEAD, FENCE) | st.sampled_from([CODE, APIDOC]))
INFOS = st.lists(st.builds("{}\n\n{}\n\nThe end.".format, HEAD, PROSE.map("\n\n".join)))


@given(CODES, INFOS)
def test_what_is_joined_is_taken_apart_again(codes: list[str], infos: list[str]) -> None:
    text = "\n\n".join(BETWEEN.join(group) for group in (codes, infos) if group)
    found = parse_snippets(text)
    assert [snippet.text for snippet in found if snippet.kind == "code"] == codes
    assert [snippet.text for snippet in found if snippet.kind == "info"] == infos
    assert join_snippets(found) == text


PIECES = [CODE, INFO, APIDOC, "```", "```js", "", "text", "-" * 32, "### T\n\nSource: http://x"]


@given(st.lists(st.sampled_from(PIECES)).map("\n\n".join))
def test_whatever_is_read_is_written_the_same(pieces: str) -> None:
    text = f"{CODE}\n\n{pieces}".strip()
    found = parse_snippets(text)
    assert join_snippets(found) == text
    assert [snippet.kind for snippet in found] == sorted(snippet.kind for snippet in found)


@given(st.text())
def test_random_text_is_no_documentation(text: str) -> None:
    assert parse_snippets(text) == ()


@pytest.mark.parametrize(
    "unit",
    [
        f"{CODE}{BETWEEN}",
        f"{CODE}\n\n",
        f"{INFO}\n\n",
        f"{CODE}\n```\n{BETWEEN}",
        "```\n",
        "```js\n",
        "### T\n\nSource: http://x\n\n",
        "\n",
        "`",
        "TITLE: a\nDESCRIPTION: b\n\nSOURCE: c\n\nLANGUAGE: d\nCODE:\n",
        f"{OLD_BLOCK}\n",
    ],
)
def test_reading_a_megabyte_takes_no_time_to_speak_of(unit: str) -> None:
    start = "" if unit.startswith("TITLE") else f"{CODE}\n\n"
    text = start + unit * (1_000_000 // len(unit))
    started = time.process_time()
    parse_snippets(text)
    assert time.process_time() - started < 3


def test_recorded_documentation_is_read_and_written_the_same() -> None:
    paths = sorted(shared("upstream/samples").glob("doc_*.txt"))
    assert len(paths) >= 9
    for path in paths:
        text = path.read_text(encoding="utf-8")
        found = parse_snippets(text)
        assert len(found) == text.count("\nSource: http"), path.name
        assert join_snippets(found) == text.strip(), path.name
        fenced = ["\n```" in snippet.text for snippet in found]
        assert [snippet.kind == "code" for snippet in found] == fenced, path.name
