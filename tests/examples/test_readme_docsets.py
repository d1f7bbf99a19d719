"""The walk through a docset in README, command by command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.examples import Command, commands, examples
from support.product import run_product

ROOT = Path(__file__).parents[2]
TITLE = "A library's own documentation"


def walk() -> list[Command]:
    return commands(examples((ROOT / "README.md").read_text("utf-8"), "console")[TITLE])


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(ROOT)
    return {"CONTEXT7_FABRIC_HOME": str(tmp_path / "home"), "CONTEXT7_FABRIC_DAEMON": "off"}


def test_walk_of_the_readme_answers_new_questions_without_context7(
    environment: dict[str, str],
) -> None:
    asked = 0
    for command in walk():
        name, *words = command.words
        if name == "export":
            environment |= dict(word.split("=") for word in words)
            continue
        done = run_product(*words, env=environment)
        assert done.returncode == 0, done.stderr
        asked += words[0] == "docs"
    stats = json.loads(run_product("stats", "--json", env=environment).stdout)
    why = json.loads(run_product("why", "--json", env=environment).stdout)
    assert (asked, stats["records"]["calls"], stats["records"]["hits"]) == (3, 3, 3)
    assert (why["tier"], why["docset"]["reason"]) == ("docset", "served before Context7")
