"""`context get|set|list|search|delete` in a shell."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.product import PROGRAM, context, objects, product_environment, run_product, stored

HOSTILE = "x\x1b[31mred\x1b]0;title\x07\x9b2J\x7f\u202eend [bold]kept[/bold]"
HARMLESS = "x\ufffd[31mred\ufffd]0;title\ufffd\ufffd2J\ufffd\ufffdend [bold]kept[/bold]"
DOCTOR = "`context7-fabric doctor` tells what to do"
AWAY, BACK = "ALTER TABLE Cache RENAME TO Away", "ALTER TABLE Away RENAME TO Cache"
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON Cache BEGIN SELECT RAISE(FAIL, 'no room'); END"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The product's environment on its own home, with upstream off."""
    return product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off", "COLUMNS": "100"})


def printed(*words: str, env: Mapping[str, str]) -> str:
    """Return the output of a `context` command that succeeds."""
    done = context(*words, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def piped(
    *words: str, env: Mapping[str, str], typed: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run `context` with bytes going in and out."""
    command = [PROGRAM, "context", *words]
    return subprocess.run(
        command, env=env, input=typed, capture_output=True, timeout=40, check=False
    )


def shown_on_a_terminal(*words: str, env: Mapping[str, str]) -> str:
    """Return the output of a command on a terminal."""
    ours, theirs = pty.openpty()
    try:
        done = run_product("context", *words, env=env, stdout=theirs, stderr=theirs)
        assert done.returncode == 0
        return os.read(ours, 2**16).decode()
    finally:
        os.close(theirs)
        os.close(ours)


class TestRoundTrip:
    def test_what_is_set_is_got_listed_found_and_deleted(self, environment: dict[str, str]) -> None:
        output = printed("set", "note:bread", "flour and water", "--ttl", "1h", env=environment)
        assert output == "stored note:bread as version 1, for 1 hour\n"
        assert printed("get", "note:bread", env=environment) == "flour and water"
        (row,) = (line for line in printed("list", env=environment).splitlines() if "bread" in line)
        assert re.split(r"\s{2,}", row.strip())[2:] == ["59 minutes", "1", "flour and water"]
        found = printed("search", "water", env=environment)
        assert re.search(r"^ *1\.00 +note:bread +flour and water *$", found, re.MULTILINE)
        assert found.endswith("ranked by words\n")
        assert printed("delete", "note:bread", env=environment) == "deleted note:bread\n"
        assert context("get", "note:bread", env=environment).returncode == 1

    def test_json_prints_each_entry_as_an_object_a_line(self, environment: dict[str, str]) -> None:
        answer = printed(
            *("set", "k", '{"n": [1, null]}', "--json-value", "--metadata", '{"by": "me"}'),
            *("--ttl", "1d", "--scope", "user", "--json"),
            env=environment,
        )
        (entry,) = objects(answer)
        assert entry == {
            "key": "k",
            "scope": "USER",
            "value": {"n": [1, None]},
            "metadata": {"by": "me"},
            "created_at": entry["created_at"],
            "expires_at": entry["created_at"] + 86400,
            "version": 1,
        }
        for words in (("get", "k"), ("list", "k*")):
            again = printed(*words, "--json", "--scope", "USER", env=environment)
            assert objects(again) == [entry]
        (match,) = objects(printed("search", "k", "--json", "--scope", "User", env=environment))
        assert match == {**entry, "similarity": 1.0, "ranked_by": "words"}
        gone = printed("delete", "k", "--json", "--scope", "uSER", env=environment)
        assert objects(gone) == [{"key": "k", "scope": "USER", "deleted": True}]

    def test_setting_again_counts_versions(self, environment: dict[str, str]) -> None:
        for version in (1, 2):
            output = printed("set", "k", "v", env=environment)
            assert output == f"stored k as version {version}\n"

    def test_a_pipe_carries_a_value_unchanged(self, environment: dict[str, str]) -> None:
        value = f"\nfirst\r\n\t{HOSTILE} é 鍵\n\n"
        written = piped("set", "k", "-", env=environment, typed=value.encode())
        assert (written.returncode, written.stdout) == (0, b"stored k as version 1\n")
        assert piped("get", "k", env=environment).stdout == value.encode()

    def test_json_is_got_indented_and_read_from_the_input(
        self, environment: dict[str, str]
    ) -> None:
        done = context("set", "k", "-", "--json-value", env=environment, typed='{"é": [1]}\n')
        assert done.returncode == 0
        assert printed("get", "k", env=environment) == '{\n  "é": [\n    1\n  ]\n}\n'

    def test_value_that_is_no_unicode_is_stored_escaped(self, environment: dict[str, str]) -> None:
        assert context("set", "k", "\udcff", env=environment).returncode == 0
        assert printed("get", "k", env=environment) == "\\udcff"
        (entry,) = objects(printed("get", "k", "--json", env=environment))
        assert entry["value"] == "\udcff"


class TestListing:
    @pytest.fixture
    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        for number in range(5):
            printed("set", f"note:{number}", "text", env=environment)
        printed("set", "other", "text", env=environment)
        return environment

    def test_pages_follow_each_other_newest_first(self, environment: dict[str, str]) -> None:
        words = ["list", "note:*", "--limit", "2", "--json"]
        first = context(*words, env=environment)
        command = "context7-fabric context list 'note:*' --scope GLOBAL --limit 2 --after note:3"
        assert first.stderr == f"more: {command}\n"
        second = context(*words, "--after", "note:3", env=environment)
        third = context(*words, "--after", "note:1", env=environment)
        pages = [
            [entry["key"] for entry in objects(page.stdout)] for page in (first, second, third)
        ]
        assert pages == [["note:4", "note:3"], ["note:2", "note:1"], ["note:0"]]
        assert (second.stderr != "", third.stderr) == (True, "")

    def test_nothing_that_matches_is_no_failure(self, environment: dict[str, str]) -> None:
        done = context("list", "q*", env=environment)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "context7-fabric: no key in GLOBAL matches 'q*'\n"
        done = context("search", "zebra", "--scope", "user", env=environment)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "context7-fabric: nothing in USER is similar to 'zebra'\n"

    def test_search_gives_no_more_than_asked_for(self, environment: dict[str, str]) -> None:
        found = printed("search", "text", "--limit", "3", "--json", env=environment)
        assert [entry["key"] for entry in objects(found)] == ["other", "note:4", "note:3"]


class TestHostileText:
    def test_stored_control_characters_are_replaced(self, environment: dict[str, str]) -> None:
        done = context("set", f"k{HOSTILE}", "-", env=environment, typed=f"{HOSTILE}\nnext")
        assert done.stdout == f"stored k{HARMLESS} as version 1\n"
        wide = {**environment, "COLUMNS": "200"}
        for words in (["list"], ["search", "next"]):
            table = printed(*words, env=wide)
            assert f"k{HARMLESS}" in table
            assert f"{HARMLESS} next" in table

    def test_terminal_gets_no_control_character(self, environment: dict[str, str]) -> None:
        context("set", "k", "-", env=environment, typed=f"{HOSTILE}\nnext")
        assert shown_on_a_terminal("get", "k", env=environment) == f"{HARMLESS}\r\nnext\r\n"

    def test_json_escapes_it_and_keeps_it(self, environment: dict[str, str]) -> None:
        context("set", "k", "-", env=environment, typed=HOSTILE)
        line = printed("get", "k", "--json", env=environment)
        assert line.removesuffix("\n").isprintable()
        assert json.loads(line)["value"] == HOSTILE

    def test_tables_fit_the_terminal_and_show_keys_whole(self, environment: dict[str, str]) -> None:
        key = "".join(f"{number:04}" for number in range(100))
        context("set", key, "-", env=environment, typed="word " * 1000)
        for words in (["list"], ["search", "word"]):
            table = printed(*words, env={**environment, "COLUMNS": "70"})
            assert max(map(len, table.splitlines())) <= 70
            parts = re.findall(r"^ *(?:1\.00 +)?(\d{4,})", table, re.MULTILINE)
            assert "".join(parts) == key


class TestFailing:
    def test_missing_entry_is_reported_on_stderr(self, environment: dict[str, str]) -> None:
        missing = "context7-fabric: there is no 'k' in USER; `context list` shows what there is\n"
        for words in (["get", "k"], ["get", "k", "--json"], ["list", "--after", "k"]):
            done = context(*words, "--scope", "USER", env=environment)
            assert (done.returncode, done.stdout, done.stderr) == (1, "", missing)

    def test_deleting_goes_on_past_what_is_missing(self, environment: dict[str, str]) -> None:
        context("set", "here", "v", env=environment)
        done = context("delete", "k", "here", env=environment)
        assert (done.returncode, done.stdout) == (1, "deleted here\n")
        assert done.stderr.startswith("context7-fabric: there is no 'k' in GLOBAL")

    @pytest.mark.parametrize(
        ("words", "error"),
        [
            (["--scope", "room"], "--scope: 'room' is not one of GLOBAL, EXECUTION, FEEDBACK"),
            (["--ttl", "soon"], "--ttl: 'soon' is not a time above zero such as 90s"),
            (["--ttl", "0s"], "--ttl: '0s' is not a time above zero"),
            (["--metadata", "[1]"], "--metadata: '[1]' is not a JSON object such as"),
            (["--metadata", "{"], "--metadata: '{' is not JSON: Expecting"),
            (["--json-value"], "VALUE: 'v' is not JSON: Expecting value"),
        ],
        ids=str,
    )
    def test_wrong_words_are_one_line_and_store_nothing(
        self, environment: dict[str, str], words: list[str], error: str
    ) -> None:
        done = context("set", "k", "v", *words, env=environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"context7-fabric: {error}")
        assert done.stderr.count("\n") == 1
        assert stored(environment) == []

    @pytest.mark.parametrize("value", ["NaN", "[1e999]", "[" * 200 + "]" * 200, "[" * 9999])
    def test_value_that_is_no_json_is_refused(
        self, environment: dict[str, str], value: str
    ) -> None:
        done = context("set", "k", value, "--json-value", env=environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"context7-fabric: VALUE: '.{1,40}' is not JSON: .*\n", done.stderr)

    @pytest.mark.parametrize("limit", ["0", "-1", "x", "1" * 5000, "²"])
    def test_a_limit_is_a_whole_number(self, environment: dict[str, str], limit: str) -> None:
        done = context("list", f"--limit={limit}", env=environment)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is not a whole number from 1 on" in done.stderr

    def test_set_beyond_the_limits_is_refused_and_stores_nothing(
        self, environment: dict[str, str]
    ) -> None:
        long = context("set", "k" * 513, "v", env=environment)
        assert (long.returncode, long.stdout) == (1, "")
        assert "a key has at most 512 characters" in long.stderr
        large = context("set", "k", "-", env=environment, typed="v" * 5 * 2**20)
        assert (large.returncode, large.stdout) == (1, "")
        assert "CONTEXT7_FABRIC_VALUE_LIMIT" in large.stderr
        assert stored(environment) == []

    def test_input_that_is_no_utf_8_is_refused(self, environment: dict[str, str]) -> None:
        done = piped("set", "k", "-", env=environment, typed=b"\xff")
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"standard input: '-' is not UTF-8 text" in done.stderr

    def test_store_of_one_process_alone_is_refused(self, environment: dict[str, str]) -> None:
        alone = {**environment, "CONTEXT7_FABRIC_BACKEND": "memory"}
        done = context("set", "k", "v", env=alone)
        assert (done.returncode, done.stdout) == (2, "")
        assert "CONTEXT7_FABRIC_BACKEND: 'memory' is not a store that outlasts" in done.stderr

    def test_a_home_that_cannot_be_used_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        done = context("list", env=product_environment(tmp_path / "file"))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("context7-fabric: store open failed: ")
        assert done.stderr.endswith(f"{DOCTOR}\n")
        assert done.stderr.count("\n") == 1


def test_neither_upstream_nor_a_worker_is_started(environment: dict[str, str]) -> None:
    program = (
        "import sys; from context7_fabric.cli.main import main;"
        "codes = [main(['context', *words.split()]) for words in"
        " ('set k v', 'get k', 'list', 'search v', 'delete k')];"
        "slow = {'mcp', 'context7_fabric.runtime.app',"
        " 'context7_fabric.suggestions.worker.process'};"
        "print(codes, slow & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=40,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0] set()"
