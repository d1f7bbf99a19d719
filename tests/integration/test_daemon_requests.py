"""Commands that ask the daemon: their answers, records, imports, and the ways they can fail."""

import json
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.context7_api import Api
from support.daemons import daemon_of, daemons, daemons_of, kill, with_daemon, without_coverage
from support.processes import spawn, wait_gone
from support.product import PROGRAM, Variables, run_product

pytestmark = pytest.mark.timeout(300)
FASTAPI = "/fastapi/fastapi"
QUESTION = "How do I test a WebSocket?"
CLIENT = "context7-fabric cli"
HEAVY = {"mcp", "mcp_types", "pydantic", "rich", "diskcache", "anyio", "asyncio", "sqlite3"}


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@pytest.fixture
def environment(home: Path, by_http: Variables) -> dict[str, str]:
    return with_daemon(home, by_http)


@pytest.fixture
def offline(home: Path) -> dict[str, str]:
    return with_daemon(home)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, by_http: Variables
) -> Iterator[dict[str, str]]:
    """The environment of a daemon that runs for all tests of the module, and has two answers."""
    with daemons(tmp_path_factory.mktemp("running") / "home") as home:
        environment = with_daemon(home, by_http)
        run("docs", "fastapi", QUESTION, env=environment)
        yield environment


def run(*words: str, env: Variables, code: int = 0) -> str:
    """The standard output of a command that ends with `code`; only a failure has a complaint."""
    done = run_product(*words, env=env)
    assert done.returncode == code, done
    assert code or done.stderr == ""
    return done.stdout


def record(*words: str, env: Variables) -> dict[str, Any]:
    """The record of a call, of the newest without words."""
    found: dict[str, Any] = json.loads(run("why", *words, "--json", env=env))
    return found


COMMANDS = [
    ["resolve", "--json", "fastapi", "", "zzqx", "x" * 1001, "pydantic"],
    ["resolve", "fastapi", "", "qqzx", "x" * 1001, "pydantic"],
    ["docs", FASTAPI, QUESTION, "--json"],
    ["docs", "fastapi", QUESTION],
    ["docs", "/no/such", QUESTION, "--json"],
    ["docs", "xqzz", QUESTION],
    ["why", "ffffffffff"],
    ["feedback", "ffffffffff", "--rating", "1"],
    ["feedback", "x", "--rating", "1", "--comment", "long" * 1001],
    ["stats", "--json"],
]


class TestAnswers:
    def test_commands_print_the_same_with_a_daemon_and_without(
        self, api: Api, tmp_path: Path, by_http: Variables
    ) -> None:
        printed = {}
        for mode in ("auto", "off"):
            with daemons(tmp_path / mode) as home:
                environment = {**with_daemon(home, by_http), "CONTEXT7_FABRIC_DAEMON": mode}
                done = [run_product(*words, env=environment) for words in COMMANDS]
                printed[mode] = [(each.returncode, _timeless(each)) for each in done]
                assert len(daemons_of(home)) == (mode == "auto")
        assert printed["auto"] == printed["off"]

    @pytest.mark.parametrize("words", ["resolve fastapi", f"docs {FASTAPI} x", "why", "stats"])
    def test_command_starts_a_daemon_where_none_runs(
        self, home: Path, offline: dict[str, str], words: str
    ) -> None:
        run_product(*words.split(), env=offline)
        assert len(daemons_of(home)) == 1

    def test_unknown_name_is_remembered_by_the_daemon(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        for name in ("zzqx", "zzqx", "qqzx", "zzqx"):
            run("resolve", name, env=environment, code=1)
        assert api.calls == 2

    def test_memory_store_of_the_daemon_outlasts_a_command(
        self, environment: dict[str, str]
    ) -> None:
        environment["CONTEXT7_FABRIC_BACKEND"] = "memory"
        outcomes = [
            json.loads(run("docs", FASTAPI, QUESTION, "--json", env=environment))["outcome"]
            for _ in range(2)
        ]
        assert outcomes == ["miss", "hit"]
        assert record(env=environment)["outcome"] == "hit"


def _timeless(done: subprocess.CompletedProcess[str]) -> str:
    """Return the output of a command without ids, times and the order that times decide."""
    times = r'("execution_id": )"\w+"|("\w*(?:_at|_ms|age_seconds|since)": )[-.\de]+'
    printed = re.sub(r'(?<="slowest": )\[[^]]*\]', _by_library, f"{done.stdout}\n{done.stderr}")
    return re.sub(times, r"\1\2", printed)


def _by_library(libraries: re.Match[str]) -> str:
    return json.dumps(sorted(json.loads(libraries[0]), key=lambda each: each["library_id"]))


class TestRecords:
    @pytest.mark.parametrize("mode", ["auto", "off"])
    @pytest.mark.parametrize(
        ("words", "tool", "arguments"),
        [
            (["resolve", "numpy"], "resolve-library-id", {"libraryName": "numpy", "query": ""}),
            (
                ["resolve", "fastapi", "--question", QUESTION],
                "resolve-library-id",
                {"libraryName": "fastapi", "query": QUESTION},
            ),
            (["docs", FASTAPI, QUESTION], "query-docs", {"libraryId": FASTAPI, "query": QUESTION}),
            (["docs", "fastapi", "a", "b"], "query-docs", {"libraryId": FASTAPI, "query": "a b"}),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_call_of_a_command_is_recorded(
        self,
        environment: dict[str, str],
        mode: str,
        words: list[str],
        tool: str,
        arguments: dict[str, str],
    ) -> None:
        environment["CONTEXT7_FABRIC_DAEMON"] = mode
        run(*words, env=environment)
        newest = record(env=environment)
        assert (newest["tool"], newest["arguments"]) == (tool, arguments)
        assert (newest["client"], newest["outcome"]) == (CLIENT, "miss")

    @pytest.mark.parametrize("mode", ["auto", "off"])
    def test_execution_id_that_docs_prints_is_known_to_why_and_feedback(
        self, environment: dict[str, str], mode: str
    ) -> None:
        environment["CONTEXT7_FABRIC_DAEMON"] = mode
        run("docs", FASTAPI, QUESTION, env=environment)
        answer = json.loads(run("docs", FASTAPI, QUESTION, "--json", env=environment))
        assert record(answer["execution_id"], env=environment)["outcome"] == "hit"
        rated = run("feedback", answer["execution_id"], "--rating", "1", env=environment)
        assert "the stored answer is dropped" in rated
        assert record(answer["execution_id"], env=environment)["feedback"]["rating"] == 1
        again = json.loads(run("docs", FASTAPI, QUESTION, "--json", env=environment))
        assert again["outcome"] == "miss"

    def test_calls_of_commands_count_in_stats(self, environment: dict[str, str]) -> None:
        for words in (["resolve", "numpy", "fastapi"], ["docs", "fastapi", "x"]):
            run(*words, env=environment)
        records = json.loads(run("stats", "--json", env=environment))["records"]
        assert records["tools"]["resolve-library-id"]["calls"] == 3
        assert records["tools"]["query-docs"]["calls"] == 1

    def test_answer_to_one_key_is_neither_shown_nor_served_to_another(
        self, api: Api, environment: dict[str, str]
    ) -> None:
        shells = [{**environment, "CONTEXT7_API_KEY": key} for key in ("ctx7sk-1", "ctx7sk-2")]
        words = ("docs", FASTAPI, QUESTION, "--json")
        one, other, again = (json.loads(run(*words, env=env)) for env in (*shells, shells[0]))
        assert [each["outcome"] for each in (one, other, again)] == ["miss", "miss", "hit"]
        assert [each.key for each in api.requests] == ["ctx7sk-1", "ctx7sk-2"]
        assert record(one["execution_id"], env=shells[0])["id"] == one["execution_id"]
        run("why", one["execution_id"], env=shells[1], code=1)
        run("feedback", one["execution_id"], "--rating", "1", env=shells[1], code=1)

    def test_choices_of_one_process_are_not_learned_from_another(
        self, environment: dict[str, str]
    ) -> None:
        run("resolve", "fastapi", env=environment)
        run("docs", FASTAPI, QUESTION, env=environment)
        found = json.loads(run("resolve", "fastapi", "--json", env=environment))
        assert (found["outcome"], found["tier"]) == ("hit", "name")


class TestSpeed:
    @pytest.mark.parametrize(
        "words",
        [
            ["resolve", "fastapi"],
            ["docs", FASTAPI, QUESTION],
            ["docs", FASTAPI, QUESTION, "--json"],
            ["why", "--json"],
            ["stats", "--json"],
        ],
        ids=" ".join,
    )
    def test_command_through_a_running_daemon_imports_nothing_heavy(
        self, running: dict[str, str], words: list[str]
    ) -> None:
        environment = without_coverage(running) | {"PYTHONPROFILEIMPORTTIME": "1"}
        report = run_product(*words, env=environment).stderr
        modules = set(re.findall(r"^import time: .*\| +([\w.]+)$", report, re.MULTILINE))
        assert "context7_fabric.relay.client" in modules
        assert {name.partition(".")[0] for name in modules} & HEAVY == set()

    @pytest.mark.parametrize(
        "words", [["resolve", "fastapi"], ["docs", FASTAPI, QUESTION], ["why"]], ids=" ".join
    )
    def test_command_through_a_running_daemon_takes_little_processor_time(
        self, running: dict[str, str], words: list[str]
    ) -> None:
        environment = without_coverage(running)
        assert statistics.median(_processor_time(words, environment) for _ in range(9)) < 0.2


def _processor_time(words: Sequence[str], environment: Variables) -> float:
    """The seconds of a processor that a command takes, which another's load hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(*words, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class TestFaults:
    @pytest.mark.parametrize("times", [1, 2, 3])
    def test_names_that_are_typed_while_daemons_die_are_all_answered(
        self, home: Path, environment: dict[str, str], times: int
    ) -> None:
        with spawn([PROGRAM, "resolve", "-"], environment) as process:
            for name in ["fastapi", "numpy", "FastAPI", "NumPy"][: times + 1]:
                process.send(name)
                process.out.wait_for(rf"^{name}  /")
                kill(daemons_of(home))
            assert process.complaints() == []
            process.out.close()
            assert len(process.out.text.splitlines()) == times + 1

    def test_request_that_daemons_die_of_is_answered_in_process(
        self, api: Api, home: Path, environment: dict[str, str]
    ) -> None:
        with (
            spawn([PROGRAM, "docs", FASTAPI, QUESTION], environment) as process,
            api.gate() as gate,
        ):
            for call in (1, 2):
                gate.wait_for(call)
                kill(daemons_of(home))
            gate.wait_for(3)
            gate.release()
            assert process.wait(20) == 0
            process.out.wait_for("### ")

    @pytest.mark.parametrize("words", [["resolve", "fastapi"], ["docs", "fastapi", "x"], ["stats"]])
    def test_command_whose_home_has_no_room_for_a_daemon_runs_in_process(
        self, home: Path, environment: dict[str, str], words: list[str]
    ) -> None:
        home.mkdir()
        (home / "daemon").touch()
        run(*words, env=environment)
        assert daemons_of(home) == set()

    @pytest.mark.parametrize("words", [["resolve", "x"], ["docs", "/a/b", "x"], ["why"], ["stats"]])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("CONTEXT7_FABRIC_DAEMON", "perhaps"),
            ("CONTEXT7_FABRIC_HOME", "relative"),
            ("CONTEXT7_FABRIC_DOCS_FRESH", "soon"),
            ("CONTEXT7_FABRIC_TOOLS", "hammer"),
        ],
    )
    def test_bad_setting_is_one_line_and_wrong_usage(
        self, offline: dict[str, str], words: list[str], name: str, value: str
    ) -> None:
        done = run_product(*words, env={**offline, name: value})
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"context7-fabric: {name}: {value!r} is not ")
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_command_ends_at_once_and_so_does_its_request(
        self, home: Path, number: int
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
            environment = with_daemon(home, {"CONTEXT7_FABRIC_UPSTREAM": url})
            silent.settimeout(20)
            with spawn([PROGRAM, "docs", "/a/b", "x"], environment) as process:
                connection, _address = silent.accept()
                with connection:
                    os.kill(process.pid, number)
                    wait_gone([process.pid])
                assert process.wait() == (130 if number == signal.SIGINT else -number)
                process.err.close()
                assert "Traceback" not in process.err.text
        (daemon,) = json.loads(run("daemon", "status", "--json", env=environment))
        assert daemon["windows"] == 0

    @pytest.mark.parametrize(
        "words", ["resolve numpy - fastapi", f"docs {FASTAPI} x", "stats", "why"]
    )
    def test_reader_that_closes_the_pipe_is_no_fault(
        self, running: dict[str, str], words: str
    ) -> None:
        with subprocess.Popen(
            [PROGRAM, *words.split()],
            env=running,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 1

    def test_daemon_of_another_version_is_left_alone(
        self, home: Path, offline: dict[str, str], tmp_path: Path
    ) -> None:
        run("stats", env=offline)
        first = daemon_of(home)
        other = {**offline, "HTTPS_PROXY": "http://127.0.0.1:9"}
        run("stats", env=other)
        assert len(daemons_of(home)) == 2
        assert first in daemons_of(home)
