"""The file of shipped prompts is whole, and each mistake in another is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.errors import SeedError
from context7_fabric.registry.prompt_seeds import PromptSeed, load_prompts
from context7_fabric.services.templates import placeholders

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
    told = {seed.name: tuple(seed.arguments) for seed in load_prompts()}
    assert told == {
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
        ("    text: |\n      Bake {what}.\n", "", 3, "needs a `text`"),
        ("    title: Bake", "    tittle: Bake", 3, "`tittle` is no field"),
        ("      what: what is baked", "      what: [1]", 6, "a text is wanted"),
        ("  rest: {", "  bake: {", 9, "`bake` stands here twice"),
        ("prompts:", "promts:", 1, "there are no `prompts`"),
    ],
)
def test_a_mistake_is_told_with_its_line(
    path: Path, before: str, after: str, line: int, reason: str
) -> None:
    path.write_text(SMALL.replace(before, after), "utf-8")
    with pytest.raises(SeedError, match=reason) as told:
        load_prompts(path)
    assert (told.value.path, told.value.line) == (str(path), line)


@pytest.mark.parametrize(
    ("text", "reason"), [("", "is empty"), ("a: [", "expected"), (None, "cannot be read")]
)
def test_a_file_that_is_no_file_of_prompts_is_told(
    path: Path, text: str | None, reason: str
) -> None:
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(SeedError, match=reason):
        load_prompts(path)
