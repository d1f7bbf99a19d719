"""`why` and `feedback` as a shell runs them, and the records left after a server's end."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from context7_fabric.version import __version__
from support.client import META_KEY, Dialogue, outcome_of, talking
from support.context7_api import Api
from support.processes import Process, wait_gone
from support.product import PROGRAM, Variables, product_environment, run_product

pytestmark = pytest.mark.either_mode

QUESTION = {"libraryId": "/fastapi/fastapi", "query": "routing with ghp_0123456789abcdefghijABCDEF"}
HOSTILE = "x\x1b[31mred\x07\x9b2J\u202eend\nerror           forged"
HOW: dict[str, Callable[[Process], None]] = {
    "the end of its input": lambda process: process.close_stdin(),
    "SIGTERM": lambda process: process.popen.send_signal(signal.SIGTERM),
}


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The product's, on a home of its own; without a network nothing can be asked."""
    return product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})


def asked(dialogue: Dialogue, **given: object) -> str:
    """The id under which a call is recorded."""
    result = dialogue.call("query-docs", **(given or QUESTION))
    return str(result["_meta"][META_KEY]["execution_id"])


def recorded(environment: dict[str, str], **given: object) -> str:
    """The id of the one call that a server answered until it ended."""
    with talking([PROGRAM], environment) as dialogue:
        execution_id = asked(dialogue, **given)
        dialogue.process.close_stdin()
        assert dialogue.process.wait() == 0
    return execution_id


def why(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run_product("why", *words, env=env)


def record(execution_id: str, env: dict[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(why(execution_id, "--json", env=env).stdout)
    return result


class TestWhy:
    def test_it_tells_step_by_step_how_an_answer_came_about(
        self, home: Path, api: Api, by_http: Variables
    ) -> None:
        environment = product_environment(home, by_http)
        with talking([PROGRAM], environment) as dialogue:
            first = asked(dialogue)
            assert outcome_of(dialogue.call("query-docs", **QUESTION)) == "hit"
            dialogue.process.close_stdin()
            assert dialogue.process.wait() == 0
        api.clear()
        missed, hit = why(first, env=environment).stdout, why(env=environment).stdout
        assert re.search(rf"^context7-fabric +{re.escape(__version__)}$", missed, re.MULTILINE)
        assert re.search(rf"^call +query-docs {first}$", missed, re.MULTILINE)
        assert re.search(r"^at +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+00:00$", missed, re.MULTILINE)
        assert "routing with [api-key]" in missed
        assert re.search(r"^client +tests 1$", missed, re.MULTILINE)
        assert re.search(r"^outcome +miss, found by: upstream$", missed, re.MULTILINE)
        assert re.search(r"^library +/fastapi/fastapi$", missed, re.MULTILINE)
        assert re.search(r"^Context7 +asked for this call$", missed, re.MULTILINE)
        steps = re.findall(r"^ +[\d.]+ ms +(.+)$", missed, re.MULTILINE)
        assert steps == ["nothing stored", "asked Context7", "admitted and stored", "answered"]
        assert re.search(r"^answer +[\d,]+ characters, [\d,]+ tokens; 0 tokens", hit, re.MULTILINE)
        assert re.search(r"^outcome +hit, found by: question$", hit, re.MULTILINE)
        assert re.search(r"^Context7 +not asked$", hit, re.MULTILINE)
        assert re.search(r"^ +[\d.]+ ms +stored copy, \d+ seconds? old: serve", hit, re.MULTILINE)
        assert "automated score 3 of 3 (hit: yes, quick: yes, parsed: yes)" in hit
        assert re.search(r"^feedback +none$", hit, re.MULTILINE)

    def test_a_shell_without_a_key_is_shown_the_newest_call_of_an_editor_with_one(
        self, environment: dict[str, str]
    ) -> None:
        execution_id = recorded({**environment, "CONTEXT7_API_KEY": "ctx7sk-of-the-editor"})
        assert re.search(
            rf"^call +query-docs {execution_id}$", why(env=environment).stdout, re.MULTILINE
        )

    def test_a_call_is_named_by_the_beginning_of_its_id(self, environment: dict[str, str]) -> None:
        execution_id = recorded(environment)
        assert record(execution_id[:8], environment)["id"] == execution_id

    def test_as_json_it_is_the_record_and_what_was_said_of_it(
        self, environment: dict[str, str]
    ) -> None:
        execution_id = recorded(environment)
        run_product("feedback", execution_id, "--rating", "3", env=environment)
        result = record(execution_id, environment)
        assert (result["version"], result["tool"], result["outcome"]) == (
            __version__,
            "query-docs",
            "error",
        )
        assert result["error"].startswith("upstream is switched off")
        assert not result["upstream"]
        assert result["feedback"]["rating"] == 3
        assert result["score"] == 1

    def test_nothing_in_it_steers_a_terminal_or_forges_a_line(
        self, environment: dict[str, str]
    ) -> None:
        execution_id = recorded(environment, libraryId=HOSTILE, query=HOSTILE)
        comment = ("--comment", HOSTILE)
        run_product("feedback", execution_id, "--rating", "1", *comment, env=environment)
        shown = why(execution_id, env=environment).stdout
        assert not re.search(r"[^\n -~\N{REPLACEMENT CHARACTER}]", shown)
        assert len(re.findall(r"^error ", shown, re.MULTILINE)) == 1
        assert "forged" in shown

    @pytest.mark.parametrize("unknown", ["0123", "*"])
    def test_unknown_id_is_reported_in_one_line(
        self, environment: dict[str, str], unknown: str
    ) -> None:
        recorded(environment)
        for words in (["why", unknown], ["feedback", unknown, "--rating", "1"]):
            done = run_product(*words, env=environment)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith("context7-fabric: no record of a call has an id that")
            assert done.stderr.count("\n") == 1

    def test_without_a_record_it_tells_how_they_come_about(
        self, environment: dict[str, str]
    ) -> None:
        done = why(env=environment)
        assert (done.returncode, done.stdout) == (0, "")
        assert "each call of a tool by an MCP client makes a record" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_a_call_with_another_key_is_not_shown(self, environment: dict[str, str]) -> None:
        execution_id = recorded({**environment, "CONTEXT7_API_KEY": "one"})
        for key, code in (("one", 0), ("two", 1)):
            shell = {**environment, "CONTEXT7_API_KEY": key}
            assert why(execution_id, env=shell).returncode == code


class TestFeedback:
    def test_it_tells_what_it_did(self, home: Path, api: Api, by_http: Variables) -> None:
        environment = product_environment(home, by_http)
        execution_id = recorded(environment)
        words = ("feedback", execution_id[:12], "--comment", "odd", "--correction", "even")
        good = run_product(*words, "--rating", "5", env=environment)
        assert (good.returncode, good.stderr) == (0, "")
        assert good.stdout == (
            f"recorded 5 of 5 for {execution_id}: the stored answer stays fresh twice as long,"
            " while its text stays the same\n"
        )
        bad = run_product(*words, "--rating", "1", env=environment)
        assert "the stored answer is dropped" in bad.stdout
        feedback = why(execution_id, env=environment).stdout
        assert re.search(
            r"^feedback +1 of 5; comment: odd; corrections: even$", feedback, re.MULTILINE
        )
        with talking([PROGRAM], environment) as dialogue:
            assert outcome_of(dialogue.call("query-docs", **QUESTION)) == "miss"

    @pytest.mark.parametrize("rating", ["0", "6", "-1", "good"])
    def test_a_rating_off_the_scale_is_wrong_usage_in_one_line(
        self, environment: dict[str, str], rating: str
    ) -> None:
        done = run_product("feedback", "0123", f"--rating={rating}", env=environment)
        assert (done.returncode, done.stdout) == (2, "")
        reason = f"--rating: '{rating}' is not a whole number from 1 to 5"
        assert done.stderr == f"context7-fabric: {reason}\n"

    @pytest.mark.parametrize("words", [["x"], ["--rating", "3"]])
    def test_it_says_how_it_is_used(self, environment: dict[str, str], words: list[str]) -> None:
        done = run_product("feedback", *words, env=environment)
        assert done.returncode == 2
        assert "usage: context7-fabric feedback" in done.stderr


class TestWhatOutlivesAServer:
    @pytest.mark.parametrize("how", HOW)
    def test_a_normal_end_loses_nothing(self, environment: dict[str, str], how: str) -> None:
        with talking([PROGRAM], environment) as dialogue:
            ids = [asked(dialogue) for _ in range(20)]
            HOW[how](dialogue.process)
            assert dialogue.process.wait() == 0
        assert {record(each, environment)["id"] for each in (ids[0], ids[-1])} == {ids[0], ids[-1]}
        listed = run_product(
            *("context", "list", "execution:*", "--scope", "EXECUTION", "--limit", "99", "--json"),
            env=environment,
        )
        assert len(listed.stdout.splitlines()) == len(ids)

    def test_a_kill_loses_no_record_that_is_older_than_a_second(
        self, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue:
            old = asked(dialogue)
            answered = time.monotonic()
            while time.monotonic() - answered < 1:
                asked(dialogue)  # it is never idle
            os.kill(dialogue.process.pid, signal.SIGKILL)
            wait_gone([dialogue.process.pid])
        assert record(old, environment)["id"] == old
        assert why(env=environment).returncode == 0
