"""`index` against the real server: its announcement, its calls, the quota and the summary."""

import json
import os
import pty
import re
import signal
from pathlib import Path

import pytest

from support.context7_api import Api
from support.faults import QUOTA_SPENT
from support.processes import spawn
from support.product import PROGRAM, Variables, product_environment, run_product

SEED = """\
version: "1.0"
ttl_days: 30
categories:
  web:
    description: "On the web"
    libraries:
      - name: fastapi
        aliases: []
        ecosystem: pypi
        id: ""
        description: "Python web framework for APIs built on type hints"
      - name: numpy
        aliases: []
        ecosystem: pypi
        id: ""
        description: "Arrays"
  none:
    description: "Unknown to upstream"
    libraries:
      - name: zzz-nothing-zzz
        aliases: []
        ecosystem: pypi
        id: ""
        description: "Nothing"
"""


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    """A seed file of three libraries, one of which upstream does not know."""
    path = tmp_path / "seed.yaml"
    path.write_text(SEED)
    return path


@pytest.fixture
def env(home: Path, by_http: Variables) -> dict[str, str]:
    """An environment without a pause between the calls."""
    return product_environment(home, by_http) | {"CONTEXT7_RESOLVE_DELAY": "0"}


def figures(text: str) -> dict[str, int]:
    """Return the summary's counts by name."""
    rows = (line.split() for line in text.splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def test_index_makes_one_call_for_each_library_and_prints_a_summary(
    api: Api, seed: Path, env: dict[str, str]
) -> None:
    first = run_product("index", "--seed", str(seed), env=env)
    assert "3 libraries to ask" in first.stderr
    assert figures(first.stdout) == {
        "total": 3,
        "indexed": 2,
        "skipped": 0,
        "unknown": 1,
        "failed": 0,
    }
    assert "tokens saved a day" in first.stdout
    assert (first.returncode, api.calls) == (0, 3)
    assert "  zzz-nothing-zzz (pypi)" in first.stdout.splitlines()
    again = run_product("index", "--seed", str(seed), env=env)
    assert figures(again.stdout) == {
        "total": 3,
        "indexed": 0,
        "skipped": 2,
        "unknown": 1,
        "failed": 0,
    }
    assert "  zzz-nothing-zzz (pypi)" in again.stdout.splitlines()
    assert api.calls == 3
    refreshed = run_product("index", "--seed", str(seed), "--refresh", env=env)
    assert figures(refreshed.stdout)["indexed"] == 2
    assert api.calls == 6


def test_ctrl_c_keeps_what_was_asked_for(api: Api, seed: Path, env: dict[str, str]) -> None:
    words = ["index", "--seed", str(seed)]
    with spawn([PROGRAM, *words], env | {"CONTEXT7_RESOLVE_DELAY": "4"}) as process:
        line = process.err.wait_for(r"2 of 3 libraries.*", 40)[0]
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
        assert process.err.text.splitlines()[-1] == (
            "context7-fabric: interrupted: 2 libraries are done and stored; run `index` again to"
            " go on"
        )
        assert "Traceback" not in process.err.text
    assert re.fullmatch(r"2 of 3 libraries, about \d+ seconds? to go", line)
    dry = run_product(*words, "--json", "--dry-run", env=env)
    assert json.loads(dry.stdout)["stored"] == 2


def test_resolve_of_an_indexed_library_makes_no_call(
    api: Api, seed: Path, env: dict[str, str]
) -> None:
    run_product("index", "--seed", str(seed), env=env)
    api.clear()
    found = run_product("resolve", "fastapi", env=env | {"CONTEXT7_FABRIC_SEED": str(seed)})
    assert "(hit, " in found.stdout
    assert api.calls == 0


def test_a_category_alone_and_a_dry_run(api: Api, seed: Path, env: dict[str, str]) -> None:
    dry = run_product("index", "--seed", str(seed), "--category", "web", "--dry-run", env=env)
    assert dry.stdout.splitlines() == ["web  fastapi  (pypi)", "web  numpy  (pypi)"]
    assert api.calls == 0
    wrong = run_product("index", "--seed", str(seed), "--category", "wen", env=env)
    assert wrong.returncode == 2
    assert "none, web" in wrong.stderr


def test_index_stops_at_the_quota_with_a_failure(api: Api, seed: Path, env: dict[str, str]) -> None:
    api.fail(QUOTA_SPENT)
    stopped = run_product("index", "--seed", str(seed), env=env)
    assert stopped.returncode == 1
    assert api.calls == 1
    assert "Stopped at the quota with 3 to go" in stopped.stdout


def test_more_than_fifty_calls_need_a_yes(api: Api, env: dict[str, str]) -> None:
    refused = run_product("index", env=env)
    assert refused.returncode == 1
    assert "--yes makes them" in refused.stderr
    assert api.calls == 0


UNKNOWN = ("zzz-nothing-zzz", "qqq-none-qqq", "@zzz/none", "zzz.js")


def test_index_with_several_unknown_names_names_each_and_asks_once(
    api: Api, seed: Path, env: dict[str, str]
) -> None:
    rows = "".join(f'      - {{name: "{name}", ecosystem: npm}}\n' for name in UNKNOWN)
    seed.write_text(f"categories:\n  none:\n    libraries:\n{rows}")
    names = [f"{name} (npm)" for name in UNKNOWN]
    for calls in (4, 4):
        done = run_product("index", "--seed", str(seed), "--json", env=env)
        summary = json.loads(done.stdout)
        assert (summary["total"], summary["unknown"], api.calls) == (4, names, calls)
    dry = run_product("index", "--seed", str(seed), "--json", "--dry-run", env=env)
    assert json.loads(dry.stdout) == {"due": [], "stored": 0, "unknown": names, "left_out": []}
    assert run_product("purge", "--all", env=env).returncode == 0
    run_product("index", "--seed", str(seed), env=env)
    assert api.calls == 8


def test_index_after_the_ttl_asks_for_unknown_names_again(
    api: Api, seed: Path, env: dict[str, str]
) -> None:
    for calls in (1, 2):
        run_product(
            "index", "--seed", str(seed), "--category", "none",
            env=env | {"CONTEXT7_FABRIC_LIBRARY_TTL": "0s"},
        )  # fmt: skip
        assert api.calls == calls


@pytest.mark.parametrize(
    ("typed", "calls"), [("y\n", 3), ("YES\n", 3), ("n\n", 0), ("\n", 0), ("\x04", 0)]
)
def test_index_on_a_terminal_asks_before_it_makes_calls(
    api: Api, seed: Path, env: dict[str, str], typed: str, calls: int
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs, "rb") as terminal:
        keyboard.write(typed.encode())
        done = run_product("index", "--seed", str(seed), env=env, stdin=terminal)
    assert "Make 3 calls to Context7? [y/N]" in done.stderr
    assert (api.calls, done.returncode) == (calls, 0 if calls else 1)


def test_index_with_yes_or_nothing_to_ask_asks_no_question(
    api: Api, seed: Path, env: dict[str, str]
) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "rb") as terminal:
        for words in (["--yes"], []):
            done = run_product("index", "--seed", str(seed), *words, env=env, stdin=terminal)
            assert (done.returncode, "[y/N]" in done.stderr) == (0, False)


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        ("{name: numpy, ecosystem: snakes}", "'numpy'", "'snakes' is none of"),
        ("{name: spare, id: no-id}", "'spare'", "'no-id' is not a library id"),
        ("{id: /a/b}", "a library without a name", "needs a `name`"),
        ("[numpy]", "a library without a name", "a mapping is wanted"),
        ("{name: fastapi, ecosystem: pypi}", "'fastapi'", "stands here twice"),
    ],
)
def test_index_with_a_bad_row_names_it_and_asks_for_the_others(
    api: Api, seed: Path, env: dict[str, str], row: str, name: str, reason: str
) -> None:
    seed.write_text(SEED.replace("  none:\n", f"      - {row}\n  none:\n"))
    done = run_product("index", "--seed", str(seed), "--json", env=env)
    assert (done.returncode, api.calls) == (0, 3)
    (line,) = json.loads(done.stdout)["left_out"]
    assert line in done.stderr
    assert line.startswith(f"{seed}, line 17: ")
    assert name in line
    assert reason in line


@pytest.mark.parametrize("text", ["", "categories: [", "- a", "a: b", "\udcff"])
def test_index_with_a_seed_file_that_is_none_fails_in_one_line(
    api: Api, seed: Path, env: dict[str, str], text: str
) -> None:
    seed.write_bytes(text.encode("utf-8", "surrogateescape"))
    done = run_product("index", "--seed", str(seed), env=env)
    assert (done.returncode, done.stdout, api.calls) == (1, "", 0)
    assert done.stderr.startswith(f"context7-fabric: {seed}")
    assert len(done.stderr.splitlines()) == 1


def test_index_with_a_bad_delay_names_the_variable(env: dict[str, str]) -> None:
    done = run_product("index", env=env | {"CONTEXT7_RESOLVE_DELAY": "soon"})
    assert done.returncode == 2
    assert "CONTEXT7_RESOLVE_DELAY" in done.stderr
