"""`index` against the real server: what it says before, what it costs, where it stops, the sum."""

from pathlib import Path

import pytest

from support.context7_api import Api
from support.faults import QUOTA_SPENT
from support.product import Variables, product_environment, run_product

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
    description: "What nobody knows"
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


def test_it_costs_a_call_a_library_once_and_sums_up(
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
    again = run_product("index", "--seed", str(seed), env=env)
    assert figures(again.stdout)["skipped"] == 2
    assert api.calls == 4
    refreshed = run_product("index", "--seed", str(seed), "--refresh", env=env)
    assert figures(refreshed.stdout)["indexed"] == 2
    assert api.calls == 7


def test_what_was_indexed_answers_without_a_call(api: Api, seed: Path, env: dict[str, str]) -> None:
    run_product("index", "--seed", str(seed), env=env)
    api.clear()
    found = run_product("resolve", "fastapi", env=env | {"CONTEXT7_FABRIC_SEED": str(seed)})
    assert "(hit, " in found.stdout
    assert api.calls == 0


def test_a_category_alone_and_a_dry_run(api: Api, seed: Path, env: dict[str, str]) -> None:
    told = run_product("index", "--seed", str(seed), "--category", "web", "--dry-run", env=env)
    assert told.stdout.splitlines() == ["web  fastapi  (pypi)", "web  numpy  (pypi)"]
    assert api.calls == 0
    wrong = run_product("index", "--seed", str(seed), "--category", "wen", env=env)
    assert wrong.returncode == 2
    assert "none, web" in wrong.stderr


def test_it_stops_politely_at_the_quota_and_goes_on_later(
    api: Api, seed: Path, env: dict[str, str]
) -> None:
    api.fail(QUOTA_SPENT)
    stopped = run_product("index", "--seed", str(seed), env=env)
    assert stopped.returncode == 1
    assert api.calls == 1
    assert "Stopped at the quota with 3 to go" in stopped.stdout


def test_more_than_fifty_calls_need_a_yes(api: Api, env: dict[str, str]) -> None:
    refused = run_product("index", env=env)
    assert refused.returncode == 1
    assert "say --yes" in refused.stderr
    assert api.calls == 0


def test_a_bad_seed_file_is_told_with_its_line(
    api: Api, seed: Path, home: Path, env: dict[str, str]
) -> None:
    seed.write_text(
        SEED.replace(
            'ecosystem: pypi\n        id: ""\n        description: "Arrays"', "ecosystem: snakes"
        )
    )
    told = run_product("index", "--seed", str(seed), env=env)
    assert told.returncode == 1
    assert "line 14" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
    assert api.calls == 0


def test_a_bad_pace_names_the_variable(env: dict[str, str]) -> None:
    told = run_product("index", env=env | {"CONTEXT7_RESOLVE_DELAY": "soon"})
    assert told.returncode == 2
    assert "CONTEXT7_RESOLVE_DELAY" in told.stderr
