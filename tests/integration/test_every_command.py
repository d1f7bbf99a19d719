"""Every command: its exit codes, its JSON, and its text in a pipe, on 80 columns, beyond UTF-8."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest
from _pytest.mark import ParameterSet

from context7_fabric.cli.main import COMMANDS, main
from context7_fabric.fabric.context import Scope
from support.app_server import call, connected, provenance
from support.forked import ENCODING
from support.product import COLUMNS, product_environment, run_on_terminal, run_product
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

Done = CompletedProcess[str]

pytestmark = pytest.mark.timeout(180)
LIBRARY = "/widgets/widget1"
PROJECT = str(Path(__file__).parents[2])
SETTINGS = str(Path(__file__).parents[2] / "docs" / "settings.md")
HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b31m\u202ereversed\u2066\b\rend"
WIDE = "日本語 🎉 naïve — “quoted” " * 3
LONG = "key:" + "/a/long/path/without/a/blank" * 4
DOCUMENTATION = (
    f"### Start {WIDE}\n\nSource: https://a.example/x\n\nUse it. {WIDE}\n\n```py\nrun()\n```"
)
CONTROLS = re.compile(r"[^\n\t -~\u00a0-\u2027\u202f-\u2065\u206a-\U000dffff]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Escape sequences of a table's colours and of a progress bar."""
SUBCOMMANDS = re.compile(r"(?<=\s)[a-z]+(?:\|[a-z]+)+(?=\s)|(?<=\{)[a-z]+(?:,[a-z]+)+(?=\})")


@dataclass(frozen=True)
class Case:
    """A command's arguments that succeed, that fail, and that are wrong usage."""

    words: Sequence[str]
    code: int = 0
    json: bool = True
    fails: Sequence[str] = ()
    wrong: Sequence[Sequence[str]] = field(default_factory=list)
    verbatim: bool = False
    """True if it prints a text from outside, or one for a program, with its own line ends."""


CASES = {
    "serve": Case(
        [],
        json=False,
        wrong=[
            ["--transport", "htp"],
            ["--transport", "http", "--port", "abc"],
            ["--transport", "sse", "--port", "65536"],
            ["--port", "80"],
            ["--transport", "http", "--api-key", "k"],
            ["--transport", "http", "--host", "a b"],
        ],
    ),
    "resolve": Case(["widget1"], fails=["zzqx"], wrong=[[], ["--jsn", "x"]]),
    "docs": Case([LIBRARY, "start"], fails=["/no/such", "x"], wrong=[[], [LIBRARY]], verbatim=True),
    "add": Case(
        [SETTINGS, "--id", "/pages/added"],
        fails=["/nowhere", "--id", "/pages/added"],
        wrong=[
            [],
            [SETTINGS],
            [SETTINGS, "--id", "x"],
            [SETTINGS, "--id", "/a/b", "--max-size", "x"],
        ],
    ),
    "docsets list": Case([], wrong=[["/a/b"], ["--jsn"]]),
    "docsets refresh": Case([], fails=["/no/such"], wrong=[["--jsn"]]),
    "remove": Case(["/pages/kept"], fails=["/no/such"], wrong=[[], ["/a/b", "/a/c"]]),
    "warm": Case(
        [PROJECT],
        fails=["/nowhere"],
        wrong=[["--max-calls", "x"], ["--questions", "/nowhere"], ["--max-calls", "-1"]],
    ),
    "pin": Case(
        ["widgets", "/widgets/widget1", "--user"],
        fails=["--remove", "no such"],
        wrong=[[], ["widgets"], ["widgets", "no id"], ["w", "/a/b", "--list"], ["--jsn"]],
    ),
    "index": Case(
        ["--dry-run", "--category", "web-frameworks"],
        json=False,
        fails=["--dry-run", "--seed", "/nowhere"],
        wrong=[["--category", "nonsense"], ["--delay"]],
    ),
    "model fetch": Case([], code=1, wrong=[["now"]]),
    "model status": Case([], code=1, wrong=[["--jsn"]]),
    "context get": Case(["note"], fails=["nothing"], wrong=[[], ["a", "b"]], verbatim=True),
    "context set": Case(["k", "v"], wrong=[["k"], ["k", "v", "--ttl", "soon"]]),
    "context list": Case([], wrong=[["--limit", "-1"], ["--limit", "x"], ["--scope", "room"]]),
    "context search": Case(["widget"], wrong=[[], ["x", "--limit", "0"]]),
    "context delete": Case(["old"], fails=["nothing"], wrong=[[]]),
    "purge": Case(
        ["--matching", "no such text"], wrong=[[], ["--matching", " "], ["--library", "x"]]
    ),
    "config": Case(["cursor"], json=False, wrong=[[], ["ed"]], verbatim=True),
    "why": Case([], fails=["ffffffffff"], wrong=[["a", "b"]]),
    "feedback": Case(
        ["{execution}", "--rating", "3"],
        json=False,
        fails=["ffffffffff", "--rating", "3"],
        wrong=[["x"], ["x", "--rating", "9"], ["x", "--rating", "0"], ["x", "--rating", "good"]],
    ),
    "daemon status": Case([], wrong=[["now"]]),
    "daemon stop": Case([], json=False, wrong=[["now"]]),
    "daemon logs": Case([], json=False, wrong=[["--lines", "x"], ["-n", "0"]]),
    "daemon run": Case(["--listener", "999"], code=1, json=False, wrong=[["--listener", "x"]]),
    "token add": Case(["ann"], json=False, wrong=[[], [""], ["a/b"]]),
    "token list": Case([], wrong=[["ann"]]),
    "token revoke": Case(["bob"], json=False, fails=["dan"], wrong=[[], [""]]),
    "stats": Case([], wrong=[["--since", "nonsense"], ["--since"], ["--since", "1s ago"]]),
    "doctor": Case([], wrong=[["--jsn"], ["now"]]),
    "demo": Case([], json=False, wrong=[["--dead"]]),
}
ASK_A_DAEMON = {"daemon", "doctor", "docs", "feedback", "resolve", "serve", "stats", "warm", "why"}
"""Commands whose result could depend on the mode."""


def params(names: Iterable[str]) -> list[ParameterSet]:
    """Mark command lines, each for both modes where the mode can matter."""
    mark = pytest.mark.either_mode
    return [
        pytest.param(name, id=name, marks=[mark] if name.split()[0] in ASK_A_DAEMON else [])
        for name in names
    ]


OK = params(CASES)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home with entries of every kind, and no upstream."""
    home = tmp_path_factory.mktemp("a folder with a long name, as users have them") / "home" / "of"
    anyio.run(_fill, home)
    (home / "tokens").write_text("")
    variables = {
        "CONTEXT7_FABRIC_UPSTREAM": "off",
        "CONTEXT7_FABRIC_MODEL": "no-such-model",
        "HF_HUB_OFFLINE": "1",
    }
    return product_environment(home, variables)


async def _fill(home: Path) -> None:
    upstream, clock = ScriptedUpstream(), FakeClock(time.time() - 3600)
    upstream.texts["query-docs"] = DOCUMENTATION
    async with scripted_app(upstream, clock, home) as app:
        async with connected(app) as client:
            await call(client, "resolve-library-id", libraryName="widget1", query=HOSTILE)
            await call(client, "query-docs", libraryId=LIBRARY, query="start")
            upstream.texts["query-docs"], upstream.is_error = f"Refused. {HOSTILE} {WIDE}", True
            last = await call(client, "query-docs", libraryId="/evil/one", query=f"{HOSTILE}{WIDE}")
        await app.fabric.set_context("note", f"{WIDE} {LONG}")
        for key in ("old", LONG, f"key {HOSTILE}"):
            await app.fabric.set_context(key, f"{HOSTILE} {WIDE} {LONG}")
        await app.flush()
        await app.fabric.set_context("execution", provenance(last)["execution_id"], Scope.USER)


@pytest.fixture(scope="module")
def execution(environment: Mapping[str, str]) -> str:
    """The id of a recorded call."""
    result: str = json.loads(run_product("why", "--json", env=environment).stdout)["id"]
    return result


def line(name: str, more: Sequence[str], execution: str = "") -> list[str]:
    """The words of a command line."""
    return [*name.split(), *(word.replace("{execution}", execution) for word in more)]


def prepare(name: str, environment: Mapping[str, str]) -> None:
    """Create the entry that a command deletes, and delete the one that it creates."""
    before = {
        "docsets list": ["add", SETTINGS, "--id", f"/pages/{'long-name' * 12}"],
        "remove": ["add", SETTINGS, "--id", "/pages/kept"],
        "token add": ["token", "revoke", "ann"],
        "token revoke": ["token", "add", "bob"],
        "token list": ["token", "add", "cay"],
        "context delete": ["context", "set", "old", "x"],
    }
    if name in before:
        run_product(*before[name], env=environment)


def run(words: Sequence[str], environment: Mapping[str, str], encoding: str = "utf-8") -> Done:
    """Run a command line whose streams have an encoding."""
    named = {**environment, ENCODING: encoding}
    return run_product(*words, env=named, encoding=encoding, errors="replace")


def assert_clean(done: Done, code: int) -> None:
    """Assert no traceback, no control characters, and the expected exit code."""
    assert "Traceback" not in done.stdout + done.stderr
    assert CONTROLS.findall(COLOURS.sub("", done.stdout + done.stderr)) == []
    assert done.returncode == code, done


def test_cases_are_those_of_every_command_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = set()
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        usage = capsys.readouterr().out.partition("\n\n")[0]
        nested = SUBCOMMANDS.search(f"{usage} ") if command not in ("config", "serve") else None
        names = re.split(r"[|,]", nested[0]) if nested else []
        found |= {f"{command} {name}" for name in names} or {command}
    assert found == set(CASES)


@pytest.mark.parametrize("name", OK)
def test_command_in_a_pipe_of_few_characters_prints_whole_plain_lines(
    name: str, environment: dict[str, str], execution: str
) -> None:
    case = CASES[name]
    prepare(name, environment)
    done = run(line(name, case.words, execution), environment, "cp1252")
    assert_clean(done, case.code)
    assert "\x1b" not in done.stdout + done.stderr
    assert "…" not in done.stdout


@pytest.mark.parametrize("name", OK)
def test_command_on_a_terminal_of_80_columns_prints_no_wider_line(
    name: str, environment: dict[str, str], execution: str
) -> None:
    case = CASES[name]
    prepare(name, environment)
    done = run_on_terminal(*line(name, case.words, execution), env=environment)
    text = re.sub(r"\r+\n?", "\n", CURSOR.sub("", done.stdout))
    plain = Done(done.args, done.returncode, text, "")
    assert_clean(plain, case.code)
    wide = [each for each in plain.stdout.split("\n") if len(each) > COLUMNS]
    assert wide == [] or case.verbatim


@pytest.mark.parametrize("name", params(name for name, case in CASES.items() if case.json))
def test_command_with_json_prints_json_alone(
    name: str, environment: dict[str, str], execution: str
) -> None:
    case = CASES[name]
    prepare(name, environment)
    words = [*line(name, case.words, execution), "--json"]
    done = run(words, environment, "ascii")
    assert_clean(done, case.code)
    lines = done.stdout.splitlines()
    assert lines
    assert all(isinstance(json.loads(each), dict | list) for each in lines)


@pytest.mark.parametrize("name", params(name for name, case in CASES.items() if case.fails))
def test_command_that_fails_gives_the_reason_on_stderr_and_ends_with_1(
    name: str, environment: dict[str, str]
) -> None:
    done = run(line(name, CASES[name].fails), environment, "latin-1")
    assert_clean(done, 1)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        *(line(name, wrong) for name, case in CASES.items() for wrong in case.wrong),
        ["docss", "x"],
        ["resolv", "x"],
        [""],
        *([command] for command in ("context", "daemon", "token", "model")),
        *([each, "fly"] for each in ("context", "daemon", "docsets", "token", "model")),
    ],
    ids=" ".join,
)
def test_command_line_that_is_wrong_ends_with_2(
    words: list[str], environment: dict[str, str]
) -> None:
    done = run(words, environment)
    assert_clean(done, 2)
    assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize("columns", ["80", "300", "9", "nonsense"])
def test_help_is_within_80_columns_of_any_terminal(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for name in COMMANDS:
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        printed = capsys.readouterr()
        assert_clean(Done([name], int(end.value.code or 0), printed.out, printed.err), 0)
        assert [line for line in printed.out.splitlines() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("columns", ["80", "9"])
def test_help_of_all_is_within_80_columns(columns: str, environment: dict[str, str]) -> None:
    done = run(["--help"], {**environment, "COLUMNS": columns})
    assert_clean(done, 0)
    assert [line for line in done.stdout.splitlines() if len(line) > COLUMNS] == []
