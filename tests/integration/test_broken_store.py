"""Reports about a broken store: each failure is reported, and no server ends because of it."""

import json
import re
from pathlib import Path

import pytest

from context7_fabric.models import PUBLIC
from context7_fabric.settings.values import DEFAULT_UPSTREAM
from context7_fabric.upstream.call_gate import STATUS_KEYS, credential_key
from contracts.disk_store import execute
from support.client import talking
from support.knocks import knocks
from support.product import PROGRAM, context, product_environment, run_product, stored

DOCTOR = "`context7-fabric doctor` tells what to do"
AWAY, BACK = "ALTER TABLE Cache RENAME TO Away", "ALTER TABLE Away RENAME TO Cache"
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON Cache BEGIN SELECT RAISE(FAIL, 'no room'); END"


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    """The product's environment on its own home, with upstream off."""
    return product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off", "COLUMNS": "100"})


@pytest.fixture
def store(home: Path, environment: dict[str, str]) -> Path:
    """The folder of a store with one entry."""
    assert context("set", "key", "value", env=environment).returncode == 0
    return home / "fabric"


class TestBrokenStore:
    @pytest.mark.parametrize("words", [["set", "k", "v"], ["delete", "key"]], ids=" ".join)
    def test_refused_write_is_a_failure(
        self, store: Path, environment: dict[str, str], words: list[str]
    ) -> None:
        execute(store, REFUSE.replace("INSERT", "DELETE"))
        execute(store, REFUSE.replace("refuse", "refuse_too"))
        done = context(*words, env=environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no room" in done.stderr
        assert done.stderr.endswith(f"{DOCTOR}\n")

    def test_unreadable_entry_is_not_called_missing(
        self, store: Path, environment: dict[str, str]
    ) -> None:
        execute(store, "UPDATE Cache SET value = 'damaged'")
        for words in (["get", "key"], ["list", "--after", "key"]):
            done = context(*words, env=environment)
            assert (done.returncode, done.stdout) == (1, "")
            assert "there is no" not in done.stderr
            assert done.stderr.endswith(f"the store failed: {DOCTOR}\n")

    @pytest.mark.either_mode
    def test_doctor_reports_the_fault_and_the_remedy(
        self, store: Path, environment: dict[str, str]
    ) -> None:
        well = run_product("doctor", "--json", env=environment)
        checks = json.loads(well.stdout)
        assert (well.returncode, well.stderr) == (0, "")
        finding = checks["store"]["told"]
        assert re.fullmatch(rf"0 answers, 0 look-ups; disk, [\d.]+[KM] in {store}", finding)
        contexts = "GLOBAL 1, EXECUTION 0, FEEDBACK 0, USER 0"
        assert (checks["contexts"]["ok"], checks["contexts"]["told"]) == (None, contexts)
        assert (checks["faults"]["ok"], checks["faults"]["told"]) == (True, "none met")
        execute(store, REFUSE)
        ill = run_product("doctor", "--json", env=environment)
        checks = json.loads(ill.stdout)
        assert ill.returncode == 1
        assert checks["store"]["ok"] is checks["faults"]["ok"] is False
        finding = checks["store"]["told"]
        assert finding.startswith("store put failed: no room: free space on the disk, or move ")
        assert "no room" in checks["faults"]["told"]

    @pytest.mark.either_mode
    def test_doctor_names_the_server_that_is_not_there(self, environment: dict[str, str]) -> None:
        with knocks() as dead:
            backend = f"redis://127.0.0.1:{dead.port}"
            elsewhere = {**environment, "CONTEXT7_FABRIC_BACKEND": backend}
            done = run_product("doctor", "--json", env=elsewhere)
        assert done.returncode == 1
        finding = json.loads(done.stdout)["store"]["told"]
        assert "check that the server of CONTEXT7_FABRIC_BACKEND runs" in finding

    @pytest.mark.either_mode
    def test_doctor_leaves_nothing_behind(self, store: Path, environment: dict[str, str]) -> None:
        run_product("doctor", env=environment)
        (entry,) = stored(environment)
        assert entry["key"] == "key"

    @pytest.mark.timeout(180)  # four processes of the product
    @pytest.mark.either_mode
    def test_stats_of_another_process_shows_a_servers_faults_after_repair(
        self, store: Path, environment: dict[str, str]
    ) -> None:
        with talking([PROGRAM], environment) as dialogue:
            execute(store, AWAY)
            dialogue.call("resolve-library-id", libraryName="fastapi", query="How?")
            execute(store, BACK)
        done = run_product("stats", "--json", env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        figures = json.loads(done.stdout)
        assert figures["store_faults"] > 0
        assert "no such table: Cache" in figures["last_store_fault"]
        assert isinstance(figures["last_store_fault_at"], float)
        shown = run_product("stats", env=environment).stdout
        assert re.search(r"last store fault +store \w+ failed: no such table: Cache", shown)
        assert re.search(r"last store fault at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown)

    def test_stats_shows_its_own_fault_while_the_store_is_broken(
        self, store: Path, environment: dict[str, str]
    ) -> None:
        limit = f"GLOBAL/{STATUS_KEYS}{credential_key(PUBLIC, PUBLIC, DEFAULT_UPSTREAM)}"
        execute(store, "UPDATE Cache SET key = ?, value = 'damaged'", limit)
        done = run_product("stats", "--json", env=environment)
        assert done.returncode == 0
        assert json.loads(done.stdout)["store_faults"] == 1
