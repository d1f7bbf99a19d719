"""Rule for agents: its places, and its block in files that hold other text too."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.client_config.clients import Machine
from context7_fabric.client_config.rules import (
    RulePlace,
    has_rule,
    rule_place,
    rule_text,
    with_rule,
    without_rule,
)

HOME = PurePosixPath("/home/u")
OTHERS = "<!-- context7 -->\nUse Context7 MCP.\n\n1. Resolve.\n<!-- context7 -->\n"
_LINES = st.lists(
    st.sampled_from(["# Mine", "", " ", "- a rule", "<!-- note -->", "\u00e9\u2028x", "`context7`"])
)
_ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def _texts(draw: st.DrawFn) -> str:
    """Return a text of some lines, the last of which may be open."""
    end = draw(_ENDS)
    return end.join(draw(_LINES)) + draw(st.sampled_from(["", end, end * 2]))


@given(_texts())
def test_without_of_a_text_with_the_rule_is_the_text(text: str) -> None:
    changed = _with(text)
    assert changed.startswith(text)
    assert without_rule(changed) == text
    assert with_rule(changed, is_own=False) == changed


@given(_texts(), _texts())
def test_without_keeps_what_was_written_after_the_rule(text: str, later: str) -> None:
    kept = without_rule(_with(text) + later)
    assert kept.startswith(text)
    assert kept.endswith(later)
    assert kept[len(text) : len(kept) - len(later)] in ("", "\n", "\r\n")


@given(_texts(), _texts())
def test_with_rule_stands_in_the_place_of_the_one_of_ctx7(text: str, later: str) -> None:
    before = f"{text}\n{OTHERS}{later}"
    changed = _with(before)
    assert changed.count("<!-- context7") == 2
    assert without_rule(changed, before) == before
    head, tail = changed.split("<!-- context7-fabric: start", 1)
    assert head == f"{text}\n"
    assert tail.endswith(later)


def test_with_rule_keeps_the_line_ends_of_the_file() -> None:
    changed = _with("# Mine\r\n")
    assert "\n" not in changed.replace("\r\n", "")


def test_with_rule_when_ours_is_of_another_version_replaces_it() -> None:
    old = "# Mine\n\n<!-- context7-fabric: start -->\nOld.\n<!-- context7-fabric: end -->\nMore\n"
    changed = _with(old)
    assert "Old." not in changed
    assert changed.startswith("# Mine\n\n<!-- context7-fabric: start -->\n")
    assert changed.endswith("<!-- context7-fabric: end -->\nMore\n")
    assert has_rule(old)


def test_with_rule_when_both_are_there_leaves_one() -> None:
    assert _with(_with("") + OTHERS) == _with("")
    assert _with(OTHERS + _with("")) == _with("")


@pytest.mark.parametrize("text", ["<!-- context7 -->\n", "<!-- context7-fabric: start -->\nopen\n"])
def test_with_rule_beside_an_open_block_leaves_it(text: str) -> None:
    assert without_rule(_with(text)) == text


@pytest.mark.parametrize("text", ["", "\n", "---\nalwaysApply: true\n---\nUse Context7 MCP.\n"])
def test_with_rule_in_a_file_of_its_own_takes_the_place_of_all(text: str) -> None:
    assert with_rule(text, is_own=True) == _with("")


def test_with_rule_in_a_file_of_its_own_leaves_a_text_about_something_else() -> None:
    assert with_rule("Write short functions.\n", is_own=True) is None


def test_without_of_a_text_that_has_no_rule_is_the_text() -> None:
    assert without_rule(OTHERS) == OTHERS
    assert not has_rule(OTHERS)


def test_rule_names_the_tools_and_what_never_goes_into_a_question() -> None:
    text = " ".join(rule_text().split())
    assert "`resolve-library-id`" in text
    assert "`query-docs`" in text
    assert "One concept a question" in text
    assert "Never put keys, passwords, personal data" in text
    assert "<!--" not in text


@pytest.mark.parametrize(
    ("client", "environ", "expected"),
    [
        ("claude-code", {}, "/home/u/.claude/rules/context7.md"),
        ("claude-code", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/rules/context7.md"),
        ("codex", {}, "/home/u/.codex/AGENTS.md"),
        ("codex", {"CODEX_HOME": "/c"}, "/c/AGENTS.md"),
        ("gemini", {}, "/home/u/.gemini/GEMINI.md"),
        ("qwen", {}, "/home/u/.qwen/QWEN.md"),
        ("opencode", {}, "/home/u/.config/opencode/AGENTS.md"),
        ("opencode", {"XDG_CONFIG_HOME": "/x"}, "/x/opencode/AGENTS.md"),
        ("copilot", {}, "/home/u/.copilot/copilot-instructions.md"),
        ("zed", {}, None),
        ("claude-desktop", {}, None),
    ],
)
def test_rule_place_of_a_client_is_where_it_was_seen_to_reach_the_model(
    client: str, environ: dict[str, str], expected: str | None
) -> None:
    place = rule_place(client, Machine("linux", environ, HOME))
    assert (place and str(place.paths[-1])) == expected


def test_rule_place_on_windows_is_below_the_users_folder() -> None:
    place = rule_place("codex", Machine("win32", {}, PureWindowsPath("C:/Users/u")))
    assert place is not None
    assert str(place.paths[-1]) == r"C:\Users\u\.codex\AGENTS.md"


def test_rule_place_in_a_project_is_below_it() -> None:
    machine, project = Machine("linux", {}, HOME), PurePosixPath("/p")
    assert rule_place("cursor", machine, project) is None
    own = rule_place("claude-code", machine, project)
    assert own == RulePlace((project / ".claude/rules/context7.md",), is_own=True)
    assert rule_place("opencode", machine, project) == RulePlace((project / "AGENTS.md",))


def _with(text: str) -> str:
    changed = with_rule(text, is_own=False)
    assert changed is not None
    return changed
