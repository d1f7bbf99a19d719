"""The commands in a shell: their output, on stdout or stderr, and their exit codes."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.cli.main import main
from context7_fabric.version import __version__
from support.client import Dialogue, talking
from support.context7_api import Api
from support.faults import SERVER_ERROR
from support.knocks import knocks
from support.processes import spawn
from support.product import PROGRAM, Variables, product_environment, run_product

FASTAPI = "/fastapi/fastapi"
QUESTION = "How do I test a WebSocket?"
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}


@pytest.fixture
def environment(home: Path, by_http: Variables) -> dict[str, str]:
    """The product's environment in front of the real 4.1.1."""
    return product_environment(home, by_http)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, by_http: Variables) -> Path:
    """A home that holds two look-ups, three answers, and the choices learned from them."""
    home = tmp_path_factory.mktemp("full") / "home"
    with talking([PROGRAM], product_environment(home, by_http)) as dialogue:
        for name, library_id in (("fastapi", FASTAPI), ("numpy", "/numpy/numpy")):
            dialogue.call("resolve-library-id", libraryName=name, query=QUESTION)
            dialogue.call("query-docs", libraryId=library_id, query=QUESTION)
        dialogue.call("query-docs", libraryId=FASTAPI, query="What is a dependency?")
    return home


def lines_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.either_mode
class TestResolve:
    def test_prints_a_line_a_name_and_hits_the_second_time(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        first = run_product("resolve", "fastapi", "numpy", env=environment)
        second = run_product("resolve", "FastAPI", "numpy", env=environment)
        assert (first.returncode, second.returncode) == (0, 0)
        assert first.stdout.splitlines() == [
            "fastapi  /fastapi/fastapi  (miss, upstream)",
            "numpy  /numpy/numpy  (miss, upstream)",
        ]
        assert second.stdout.splitlines() == [
            "FastAPI  /fastapi/fastapi  (hit, name)",
            "numpy  /numpy/numpy  (hit, name)",
        ]
        assert first.stderr == second.stderr == ""
        assert api.calls == 2

    def test_reads_names_from_its_input_and_prints_a_json_object_a_line(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        typed = "fastapi\n\n  zzqx \n"
        done = run_product("resolve", "--json", "-", env=environment, typed=typed)
        assert (done.returncode, done.stderr) == (1, "")
        known, unknown = lines_of(done.stdout)
        assert known == {
            "query": "fastapi",
            "library_id": FASTAPI,
            "exact": True,
            "outcome": "miss",
            "tier": "upstream",
        }
        assert (unknown["query"], unknown["library_id"]) == ("zzqx", None)
        assert (unknown["outcome"], unknown["exact"]) == ("negative", False)

    def test_reports_unknown_names_on_stderr_and_goes_on(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        done = run_product("resolve", "zzqx", "fastapi", env=environment)
        assert done.returncode == 1
        assert done.stdout.startswith("fastapi  /fastapi/fastapi")
        assert done.stderr == (
            'zzqx: No libraries found for "zzqx". Try a different search term.\n'
        )


@pytest.mark.either_mode
class TestDocs:
    def test_prints_the_documentation_and_hits_the_second_time(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        first = run_product("docs", FASTAPI, QUESTION, env=environment)
        second = run_product("docs", "--json", FASTAPI, QUESTION, env=environment)
        assert (first.returncode, second.returncode) == (0, 0)
        assert first.stdout.startswith(f"### Walk through: {QUESTION}\n\nSource: https://")
        assert first.stderr == ""
        (result,) = lines_of(second.stdout)
        assert result["text"] + "\n" == first.stdout
        assert (result["query"], result["outcome"], result["tier"]) == (QUESTION, "hit", "question")
        assert result["library_id"] == FASTAPI
        assert api.calls == 1

    def test_reports_a_refusal_on_stderr(self, api: Api, environment: dict[str, str]) -> None:
        done = run_product("docs", "/no/such", QUESTION, env=environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith('Library "/no/such" not found.')

    def test_reports_a_failure_in_json(self, api: Api, environment: dict[str, str]) -> None:
        api.fail(SERVER_ERROR)
        done = run_product("docs", FASTAPI, QUESTION, "--json", env=environment)
        assert (done.returncode, done.stderr) == (1, "")
        (result,) = lines_of(done.stdout)
        assert (result["text"], result["outcome"]) == (SERVER_ERROR.message, "error")


@pytest.mark.either_mode
class TestPurge:
    @pytest.fixture
    def environment(self, full: Path, home: Path, environment: dict[str, str]) -> dict[str, str]:
        shutil.copytree(full, home, ignore=shutil.ignore_patterns("*.sock"))
        return environment

    def outcomes(self, environment: dict[str, str]) -> list[str]:
        """Return the outcomes of three of the questions without upstream."""
        asked = [(FASTAPI, QUESTION), (FASTAPI, "dependency"), ("/numpy/numpy", QUESTION)]
        with talking([PROGRAM], {**environment, **OFF}) as dialogue:
            results = [
                dialogue.call("query-docs", libraryId=library_id, query=question)
                for library_id, question in asked
            ]
        tiers = [each["_meta"]["context7-fabric/answer"] for each in results]
        return [f"{each['outcome']} by {each['tier']}" for each in tiers]

    def test_of_a_library_removes_its_entries(self, environment: dict[str, str]) -> None:
        done = run_product("purge", "--library", FASTAPI, env=environment)
        assert done.returncode == 0
        removed, words = done.stdout.split(maxsplit=1)
        assert int(removed) >= 3
        assert words == "stored entries removed\n"
        assert self.outcomes(environment) == ["error by local"] * 2 + ["hit by question"]

    def test_of_a_text_removes_the_entries_with_it(self, environment: dict[str, str]) -> None:
        words = "WHAT IS A DEPENDENCY?"
        done = run_product("purge", "--matching", words, "--json", env=environment)
        assert done.returncode == 0
        assert json.loads(done.stdout) == {
            "removed": 1,
            "docsets": [],
            "kept": [],
            "not_searched": [],
        }
        result = self.outcomes(environment)
        assert result[0] == result[2] == "hit by question"
        assert result[1] != "hit by question"

    def test_of_all_leaves_nothing(self, environment: dict[str, str]) -> None:
        done = run_product("purge", "--all", "--json", env=environment)
        assert json.loads(done.stdout)["removed"] >= 5
        assert self.outcomes(environment) == ["error by local"] * 3


@pytest.mark.either_mode
class TestConfig:
    def test_prints_json_whose_command_starts(self, home: Path, tmp_path: Path) -> None:
        environment = product_environment(home, OFF)
        sections = {"claude-code": "mcpServers", "cursor": "mcpServers", "vscode": "servers"}
        commands = set()
        for client, section in sections.items():
            done = run_product("config", client, env=environment)
            assert done.returncode == 0
            server = json.loads(done.stdout)[section]["context7"]
            commands.add((server["command"], *server["args"]))
        # Editors start it in a folder of theirs, with a short PATH.
        for command in commands:
            with spawn(command, {**environment, "PATH": str(tmp_path)}, tmp_path) as process:
                assert Dialogue(process).introduce()["serverInfo"]["name"] == "context7-fabric"


@pytest.mark.either_mode
class TestDoctor:
    def test_passes_with_upstream_up(
        self, full: Path, home: Path, environment: dict[str, str]
    ) -> None:
        shutil.copytree(full, home, ignore=shutil.ignore_patterns("*.sock"))
        done = run_product("doctor", "--json", env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        checks = json.loads(done.stdout)
        assert checks["version"]["told"] == __version__
        assert (checks["home"]["ok"], checks["home"]["told"]) == (True, str(home))
        assert checks["upstream"]["ok"] is True
        assert "query-docs" in checks["upstream"]["told"]
        assert checks["store"]["ok"] is True
        assert checks["store"]["told"].startswith("3 answers, 2 look-ups; disk, ")
        assert checks["contexts"]["told"].startswith("GLOBAL ")
        assert checks["faults"]["ok"] is True

    def test_reports_an_upstream_that_is_down(self, home: Path) -> None:
        with knocks() as dead:
            variables = {"CONTEXT7_FABRIC_UPSTREAM": f"http://127.0.0.1:{dead.port}/mcp"}
            environment = product_environment(home, {**variables, "COLUMNS": "200"})
            done = run_product("doctor", env=environment)
        assert (done.returncode, done.stderr) == (1, "")
        found = (line.split(maxsplit=2) for line in done.stdout.splitlines())
        result = next(words for words in found if words[:1] == ["upstream"])
        assert result[1] == "wrong"
        assert f"127.0.0.1:{dead.port}/mcp cannot be reached" in result[2]

    def test_reports_a_missing_command_and_an_unusable_home(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        variables = {"CONTEXT7_FABRIC_UPSTREAM": "no-such-program --flag"}
        environment = product_environment(tmp_path / "file" / "home", variables)
        done = run_product("doctor", "--json", env=environment)
        assert done.returncode == 1
        checks = json.loads(done.stdout)
        assert checks["home"]["ok"] is checks["upstream"]["ok"] is False
        assert "command not found: no-such-program" in checks["upstream"]["told"]

    def test_accepts_an_upstream_that_is_off(self, home: Path) -> None:
        done = run_product("doctor", "--json", env=product_environment(home, OFF))
        assert done.returncode == 0
        assert json.loads(done.stdout)["upstream"]["ok"] is None


@pytest.mark.parametrize(
    "words",
    [
        ["resolve"],
        ["docs", FASTAPI],
        ["context"],
        ["context", "fly"],
        ["context", "get"],
        ["context", "set", "key"],
        ["context", "delete"],
        ["context", "list", "--scope", "room"],
        ["purge"],
        ["purge", "--library", "fastapi"],
        ["purge", "--all", "--matching", "x"],
        ["config", "ed"],
        ["doctor", "--jsn"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_reported_on_stderr(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(str(ended.code))
    output = capsys.readouterr()
    assert (code, output.out) == (2, "")
    assert "context7-fabric" in output.err


def test_the_demo_shows_a_miss_a_hit_a_restart_and_an_outage_without_a_network(home: Path) -> None:
    done = subprocess.run(
        [*without_network(), PROGRAM, "demo"],
        env=product_environment(home) | {"COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for shown in ("miss", "hit", "stale", "restarted", "60 days on, outage", "saved"):
        assert shown in done.stdout
    assert "failed" not in done.stdout
    assert not home.exists()


def without_network() -> list[str]:
    """Return words that run a command without a network, where this process may do that."""
    alone = ["unshare", "--net"]
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return []
    tried = subprocess.run([*alone, "true"], capture_output=True, check=False)
    return alone if tried.returncode == 0 else []


@pytest.mark.parametrize("command", ["stats", "doctor"])
@pytest.mark.either_mode
def test_reader_that_closes_the_pipe_is_no_fault(home: Path, command: str) -> None:
    environment = product_environment(home, OFF)
    with subprocess.Popen(
        [PROGRAM, command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
