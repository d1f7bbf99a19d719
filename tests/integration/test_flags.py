"""Flags and variables: upstream's own flags work, and each error is reported in one line."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from context7_fabric.cli.main import COMMANDS, main
from context7_fabric.version import __version__
from support.client import outcome_of, talking
from support.context7_api import Api
from support.product import (
    BY_ITSELF,
    PROGRAM,
    Variables,
    product_at_port,
    product_environment,
    run_product,
)

pytestmark = pytest.mark.either_mode

OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
ELSEWHERE = "192.0.2.1"
MEMORY_ONLY = "nothing will be remembered past this process"
ASKED = {"libraryId": "/fastapi/fastapi", "query": "How do I test a WebSocket?"}
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def test_unknown_options_are_ignored(home: Path) -> None:
    command = [PROGRAM, "--yes", "--stdio", "--colour=always", "-q", "extra"]
    with talking(command, product_environment(home, OFF)) as dialogue:
        assert len(dialogue.ask("tools/list")["tools"]) == 3
        warnings = dialogue.process.complaints()
    assert warnings == [
        f"context7-fabric: unknown option '{each}' is ignored"
        for each in ("--yes", "--stdio", "--colour", "-q")
    ]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ["--port", "3000"],
            "The --port flag is not allowed when using --transport stdio.",
        ),
        (
            ["--transport", "http", "--api-key", "ctx7sk-secret"],
            "The --api-key flag is not allowed when using --transport http.",
        ),
        (
            ["--transport", "sse", "--api-key", "ctx7sk-secret"],
            "The --api-key flag is not allowed when using --transport sse.",
        ),
        (["--transport", "carrier-pigeon"], "Invalid --transport value: 'carrier-pigeon'."),
        (["--transport", "http", "--port", "65536"], "--port: '65536' is not a port number"),
        (["--transport", "http", "--host", "a b"], "--host: 'a b' is not an address"),
    ],
)
def test_invalid_flags_end_it_with_a_message(home: Path, words: list[str], error: str) -> None:
    done = run_product(*words, env=product_environment(home, OFF))
    assert done.returncode == 2
    assert error in done.stderr
    assert "ctx7sk-secret" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("flag", ["--version", "-v", "-V"])
def test_version_flag_prints_the_version(home: Path, flag: str) -> None:
    done = run_product(flag, env=product_environment(home))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_lists_the_commands_and_creates_no_home(home: Path, word: str) -> None:
    done = run_product(word, env=product_environment(home))
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout
    assert "--transport" in done.stdout
    assert not home.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_with_help_prints_its_usage(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: context7-fabric {command}")


def test_a_command_that_does_not_exist_is_wrong_usage(home: Path) -> None:
    done = run_product("resolv", "react", env=product_environment(home))
    assert done.returncode == 2
    assert "'resolv': did you mean 'resolve'?" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CONTEXT7_FABRIC_UPSTREAM", "ftp://context7.example/mcp"),
        ("CONTEXT7_FABRIC_DOCS_FRESH", "soon"),
        ("CONTEXT7_FABRIC_LOG_LEVEL", "loud"),
        ("CONTEXT7_FABRIC_HOST", "a b"),
        ("CONTEXT7_API_KEY", "ctx7sk with blanks"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_in_one_line(
    home: Path, variable: str, value: str
) -> None:
    done = run_product(env=product_environment(home, {variable: value}))
    assert done.returncode == 2
    assert done.stderr.startswith(f"context7-fabric: {variable}: ")
    assert done.stderr.count("\n") == 1
    assert "ctx7sk" not in done.stderr
    assert done.stdout == ""


def test_an_empty_variable_counts_as_not_set_and_serve_as_no_command(
    home: Path, by_http: Variables
) -> None:
    empty = {"CONTEXT7_API_KEY": "", "CONTEXT7_API_URL": "", "CONTEXT7_FABRIC_BACKEND": " "}
    environment = product_environment(home, {**by_http, **empty})
    with talking([PROGRAM, "serve"], environment) as dialogue:
        assert outcome_of(dialogue.call("query-docs", **ASKED)) == "miss"


def assert_served_from_memory(command: list[str], environment: dict[str, str]) -> None:
    with talking(command, environment) as dialogue:
        outcomes = [outcome_of(dialogue.call("query-docs", **ASKED)) for _ in range(3)]
        dialogue.call("resolve-library-id", libraryName="react", query="x")
        complaints = dialogue.process.complaints()
    assert outcomes == ["miss", "hit", "hit"]
    assert len(complaints) == 1
    assert MEMORY_ONLY in complaints[0]
    assert environment["CONTEXT7_FABRIC_HOME"] in complaints[0]


def test_home_below_a_file_with_a_key_serves_from_memory(
    api: Api, tmp_path: Path, by_http: Variables
) -> None:
    (tmp_path / "file").touch()
    variables = {**by_http, "CONTEXT7_API_KEY": "ctx7sk-homeless"}
    assert_served_from_memory([PROGRAM], product_environment(tmp_path / "file" / "home", variables))
    assert {each.key for each in api.requests} == {"ctx7sk-homeless"}


def test_file_as_home_over_http_serves_from_memory(
    api: Api, tmp_path: Path, by_http: Variables
) -> None:
    (tmp_path / "file").touch()
    environment = product_environment(tmp_path / "file", by_http)
    with product_at_port("http", environment) as served:
        assert served.process.err.text.count(MEMORY_ONLY) == 1


def test_home_that_became_read_only_is_reported_and_it_serves_from_memory(
    api: Api, home: Path, by_http: Variables
) -> None:
    environment = product_environment(home, by_http)
    run_product("stats", env={**environment, **BY_ITSELF})
    alone = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(home)]
    tried = (
        subprocess.run([*alone, "true"], capture_output=True, check=False).returncode
        if os.geteuid() == 0 and shutil.which("unshare")
        else 1
    )
    if tried != 0:
        pytest.skip("needs root and permission to mount: a home that is a file stands in for it")
    assert_served_from_memory([*alone, PROGRAM], environment)


def test_memory_backend_by_choice_warns_of_nothing(home: Path) -> None:
    variables = {**OFF, "CONTEXT7_FABRIC_BACKEND": "memory"}
    done = run_product("doctor", "--json", env=product_environment(home, variables))
    assert done.returncode == 0
    assert json.loads(done.stdout)["home"]["ok"] is None
    assert done.stderr == ""
    assert not home.exists()
