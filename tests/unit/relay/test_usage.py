"""Notes about a command line and an environment: what is not known, and what may be meant."""

from __future__ import annotations

import pytest

from context7_fabric.relay.usage import (
    asks_for_version,
    asks_to_serve,
    nearest_variables,
    note_usage,
)
from context7_fabric.settings import read_settings
from context7_fabric.variables import PREFIX, VARIABLES


class Read(dict[str, str]):
    """An environment that notes which variables are read."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, key: str, default: object = None) -> str:
        self.names.add(key)
        return str(default or "")


def test_variables_are_those_that_settings_are_read_from() -> None:
    environ = Read()
    read_settings(environ)
    read = {name.removeprefix(PREFIX) for name in environ.names if name.startswith(PREFIX)}
    assert read | {"TOKEN"} == set(VARIABLES)  # the Python client reads that one


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--transprot", "http"], ["'--transprot' is ignored: did you mean '--transport'?"]),
        (["serve", "--apikey=k"], ["'--apikey' is ignored: did you mean '--api-key'?"]),
        (["--prot", "1", "--prot=2"], ["'--prot' is ignored: did you mean '--port'?"]),
        (["-x", "extra", "--\x1b[2J"], ["'-x' is ignored", "'--\\x1b[2J' is ignored"]),
        (["--api-key", "--verbose"], []),
        (["--transport", "http", "--port=0", "--host", "::1", "--help"], []),
        (["docs", "--nonsense"], []),
    ],
)
def test_note_usage_names_options_that_no_server_has(
    words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    note_usage(words, {}, on_stdio=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"context7-fabric: unknown option {each}" for each in expected]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("HOEM", ": did you mean 'CONTEXT7_FABRIC_HOME'?"),
        ("LOGLEVEL", ": did you mean 'CONTEXT7_FABRIC_LOG_LEVEL'?"),
        ("DOC_FRESH", ": did you mean 'CONTEXT7_FABRIC_DOCS_FRESH'?"),
        ("ZZZ", ""),
    ],
)
@pytest.mark.parametrize("words", [[], ["stats"], ["--version"]])
def test_note_usage_names_variables_that_nothing_reads(
    words: list[str], name: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {f"{PREFIX}{name}": "1", f"{PREFIX}META": "off", "CONTEXT7_API_KEY": "k"}
    assert list(nearest_variables(environ)) == [f"{PREFIX}{name}"]
    note_usage(words, environ, on_stdio=False)
    line = f"context7-fabric: unknown variable '{PREFIX}{name}' is ignored{expected}\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("words", "serves", "version"),
    [
        ([], True, False),
        (["-V"], True, True),
        (["serve", "--version"], True, True),
        (["--transport", "http", "-v"], True, True),
        (["docs", "-v"], False, True),
        (["--verison"], True, False),
    ],
)
def test_words_ask_to_serve_or_for_the_version(
    words: list[str], serves: bool, version: bool
) -> None:
    assert (asks_to_serve(words), asks_for_version(words)) == (serves, version)
