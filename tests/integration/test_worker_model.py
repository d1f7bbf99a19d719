"""`model fetch` and `model status`: only `fetch` uses the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.model import hub, model_command, no_hub

pytestmark = pytest.mark.timeout(180)  # each command imports what reads the model


@pytest.mark.usefixtures("model")
def test_a_fetched_model_is_there_from_then_on_without_a_network(tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = model_command(home, "status")
    assert before.returncode == 1
    assert "context7-fabric model fetch" in before.stderr
    assert not home.exists()
    with hub() as variables:
        fetched = model_command(home, "fetch", **variables)
    assert (fetched.returncode, fetched.stderr) == (0, "")
    with no_hub() as variables:
        state = json.loads(model_command(home, "status", "--json", **variables).stdout)
        again = model_command(home, "fetch", **variables)
    assert state["ready"]
    assert state["dimension"] == 384
    assert state["place"] == str(home / "models")
    assert (again.returncode, again.stdout) == (0, fetched.stdout)


def test_without_a_network_fetching_fails_in_one_line(tmp_path: Path) -> None:
    with no_hub() as variables:
        failed = model_command(tmp_path, "fetch", **variables)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.count("context7-fabric: ") == 1
    assert "cannot be downloaded: the " in failed.stderr


def test_a_model_of_ones_own_is_not_fetched(tmp_path: Path, model: Path) -> None:
    own = {"CONTEXT7_FABRIC_MODEL_PATH": str(model)}
    done = model_command(tmp_path, "fetch", **own)
    assert done.returncode == 0
    assert str(model) in done.stdout
    assert "nothing is downloaded" in done.stderr


def test_an_unknown_model_is_reported(tmp_path: Path) -> None:
    done = model_command(tmp_path, "fetch", "--json", CONTEXT7_FABRIC_MODEL="no-such/model")
    assert done.returncode == 1
    assert "no-such/model" in json.loads(done.stdout)["trouble"]
