"""Help, examples, suggestions and completion of every command, by its real parser."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from context7_fabric.cli.commands import COMMANDS, EXAMPLES, GROUPS, examples_of
from context7_fabric.cli.completion import parser_of, script, whole_parser
from context7_fabric.cli.main import main
from context7_fabric.cli.text import COLUMNS, CommandParser
from support.docsets import add, library_in, write_pages

LONG = ("add", "docsets", "index", "model", "setup", "warm")
"""Commands that take long: each has a result for programs (`test_progress` has the rest)."""


@pytest.fixture
def held(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A docset in the home, no daemon, and no upstream."""
    for name, value in (("UPSTREAM", "off"), ("DAEMON", "off"), ("MODEL", "off")):
        monkeypatch.setenv(f"CONTEXT7_FABRIC_{name}", value)
    add(library_in(home), write_pages(home.parent / "pages"))


def leaves() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command or subcommand, with its parser."""
    for name in COMMANDS:
        parser = parser_of(name)
        nested = [each.choices for each in parser._actions if isinstance(each.choices, dict)]
        if nested:
            yield from ((f"{name} {sub}", own) for sub, own in nested[0].items())
        else:
            yield name, parser


LEAVES = dict(leaves())


def test_the_help_lists_every_command_once_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert sorted(COMMANDS) == sorted(name for group in GROUPS.values() for name in group)
    for title, group in GROUPS.items():
        listed = text.partition(f"{title}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in listed.splitlines()] == list(group)
    assert max(map(len, text.splitlines())) <= COLUMNS


@pytest.mark.parametrize("name", LEAVES)
def test_help_is_within_80_columns_and_ends_with_examples(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = LEAVES[name].format_help()
    assert max(map(len, text.splitlines())) <= COLUMNS
    *_, examples = text.partition("\nexamples:\n")
    assert 1 <= len(examples.splitlines()) <= 3
    assert all(line.startswith("  context7-fabric ") for line in examples.splitlines())


@pytest.mark.parametrize(
    "line",
    [line for name in LEAVES for line in EXAMPLES.get(name, EXAMPLES.get(name.split()[0], ()))],
)
def test_example_is_parsed_by_its_command(line: str) -> None:
    words = shlex.split(line.partition(" >")[0])
    assert words.pop(0) in COMMANDS
    parser = parser_of(line.split(maxsplit=1)[0])
    intermixed = not any(isinstance(each.choices, dict) for each in parser._actions)
    parsed = parser.parse_intermixed_args(words) if intermixed else parser.parse_args(words)
    assert vars(parsed)


def test_group_of_subcommands_shows_an_example_of_two() -> None:
    assert examples_of("context7-fabric daemon") == [
        "context7-fabric daemon status",
        "context7-fabric daemon stop",
    ]


@pytest.mark.parametrize("name", LONG)
def test_long_command_has_json(name: str) -> None:
    assert "--json" in parser_of(name)._option_string_actions


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["docter"], "doctor"),
        (["doctor", "--repot"], "--report"),
        (["context", "list", "--jsn"], "--json"),
        (["daemon", "stpo"], "stop"),
        (["config", "cursr"], "cursor"),
        (["model", "fecth"], "fetch"),
        (["completion", "bahs"], "bash"),
        (["setup", "curser"], "cursor"),
        (["context", "list", "--scope", "FEEDBAK"], "FEEDBACK"),
        (["serve", "--transport", "htpp"], "http"),
        (["remove", "/harbour/quai"], "/harbour/quay"),
    ],
    ids=lambda each: each if isinstance(each, str) else " ".join(each),
)
def test_wrong_word_is_answered_by_the_closest_one(
    words: list[str], meant: str, held: None, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as end:
        code = int(str(end.code))
    assert code in (1, 2)
    error = capsys.readouterr().err
    assert f"did you mean '{meant}'" in error, error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_names_every_command(shell: str) -> None:
    text = script(shell)
    assert all(name in text for name in COMMANDS)
    assert "context7-fabric completion --ids" in text


def test_whole_parser_leaves_those_of_the_commands_as_they_are() -> None:
    before = {name: parser.format_usage() for name, parser in LEAVES.items()}
    assert isinstance(whole_parser(), CommandParser)
    assert {name: parser.format_usage() for name, parser in leaves()} == before
