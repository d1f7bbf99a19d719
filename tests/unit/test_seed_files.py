"""Shipped prompts are complete, and each mistake in another file is reported by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.errors import SeedError
from context7_fabric.seed_files import PromptSeed, load_prompts
from context7_fabric.views.prompts import placeholders

SMALL = """\
prompts:
  bake:
    title: Bake
    description: Bakes something.
    arguments:
      what: what is baked
    text: |
      Bake {what}.
  rest: {title: Rest, description: Rests., text: Rest.}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prompts.yaml"


def test_the_shipped_prompts_describe_every_argument_of_theirs() -> None:
    arguments = {seed.name: tuple(seed.arguments) for seed in load_prompts()}
    assert arguments == {
        "use-library": ("library", "task"),
        "upgrade-dependency": ("library", "from_version", "to_version"),
        "compare-libraries": ("first", "second", "need"),
    }
    for seed in load_prompts():
        assert placeholders(seed.text) == tuple(seed.arguments)
        assert "resolve-library-id" in seed.text
        assert "query-docs" in seed.text


def test_what_is_written_is_read(path: Path) -> None:
    path.write_text(SMALL, "utf-8")
    assert load_prompts(path) == (
        PromptSeed("bake", "Bake", "Bakes something.", "Bake {what}.", {"what": "what is baked"}),
        PromptSeed("rest", "Rest", "Rests.", "Rest.", {}),
    )


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("    title: Bake\n", "", 3, "needs a `title`"),
        ("description: Bakes something.", "description: ''", 3, "needs a `description`"),
        ("description: Bakes something.", "description: [1]", 4, "a text is wanted"),
        ("    text: |\n      Bake {what}.\n", "", 3, "needs a `text`"),
        ("    title: Bake", "    tittle: Bake", 3, "`tittle` is not a field"),
        ("      what: what is baked", "      what: [1]", 6, "a text is wanted"),
        ("title: Bake", 'title: "Ba\\x1bke"', 3, "a control character"),
        ("  bake:\n", "  bake: 7\n  cook:\n", 2, "a mapping is wanted here"),
        ("  bake:\n", "  bake: {}\n  cook:\n", 2, "needs a `title`"),
    ],
)
def test_load_prompts_with_a_bad_prompt_leaves_out_and_names_it_alone(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    before: str,
    after: str,
    line: int,
    reason: str,
) -> None:
    path.write_text(SMALL.replace(before, after), "utf-8")
    assert [each.name for each in load_prompts(path) if each.name != "cook"] == ["rest"]
    (logged,) = caplog.messages
    assert logged.startswith(f"{path}, line {line}: the prompt 'bake' is left out: ")
    assert reason in logged


def test_load_prompts_with_a_name_twice_keeps_the_first(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(SMALL.replace("  rest: {", "  bake: {"), "utf-8")
    assert [each.title for each in load_prompts(path)] == ["Bake"]
    assert caplog.messages == [f"{path}, line 9: `bake` stands here twice"]


@pytest.mark.parametrize("text", ["promts: {}", "- a", "prompts:", "prompts: [a]"])
def test_load_prompts_without_prompts_is_an_error(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    with pytest.raises(SeedError) as caught:
        load_prompts(path)
    assert caught.value.line == 1


@pytest.mark.parametrize(
    ("text", "reason"), [("", "is empty"), ("a: [", "expected"), (None, "cannot be read")]
)
def test_load_prompts_of_an_unreadable_file_fails(
    path: Path, text: str | None, reason: str
) -> None:
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(SeedError, match=reason):
        load_prompts(path)
