"""`setup` against the real clients: they read its files, start the entry, and show it to the model.

`make clients` runs these; the clients are installed from npm, in exact versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.real_clients import (
    CLIENTS,
    KEY,
    ModelStandIn,
    RealClient,
    UserMachine,
    model_stand_in,
)

pytestmark = pytest.mark.timeout(900)
RULE = "One concept a question"
HANDSHAKES = {"initialize", "server/discover"}


@pytest.fixture(name="machine")
def user_machine(tmp_path: Path) -> Iterator[UserMachine]:
    machine = UserMachine(tmp_path)
    yield machine
    machine.ours("daemon", "stop")


@pytest.fixture(name="client", params=list(CLIENTS))
def real_client(request: pytest.FixtureRequest) -> RealClient:
    client = CLIENTS[request.param]
    client.command()
    return client


def test_entry_in_an_empty_home_is_read_and_started(
    machine: UserMachine, client: RealClient
) -> None:
    machine.write(client.files)
    _set_up(machine, client)
    machine.calls()
    if client.shows:
        shown = _shown(machine, client)
        assert "context7" in shown
        assert str(machine.program) in shown
        assert client.connects is None or client.connects in shown
        assert client.connects is None or machine.calls()[0] in HANDSHAKES


def test_setup_when_it_is_run_again_changes_nothing(
    machine: UserMachine, client: RealClient
) -> None:
    machine.write({client.config: client.old})
    _set_up(machine, client)
    before = _files(machine)
    _set_up(machine, client)
    assert _files(machine) == before


def test_entry_with_a_key_is_replaced_and_comes_back(
    machine: UserMachine, client: RealClient
) -> None:
    path = machine.home / client.config
    machine.write({**client.files, client.config: client.old})
    if client.rule:
        machine.write({client.rule: "# Context7\nmine\n"})
    before = _shown(machine, client)
    stood = path.read_text("utf-8")  # Qwen Code adds its version when it starts
    _set_up(machine, client)
    assert KEY in path.read_text("utf-8")
    assert "@upstash/context7-mcp" not in _shown(machine, client)
    undone = machine.ours("setup", client.name, "--undo", "--yes")
    assert undone.returncode == 0, undone.stderr
    after = _shown(machine, client)
    assert "@upstash/context7-mcp" in after
    assert _comparable(after) == _comparable(before)
    if client.name != "claude-code":  # it keeps its own state in the same file
        assert path.read_text("utf-8") == stood
    if client.rule:
        assert (machine.home / client.rule).read_text("utf-8") == "# Context7\nmine\n"


def test_prompt_reaches_the_model_with_our_tools_and_the_rule(
    machine: UserMachine, client: RealClient
) -> None:
    machine.write({**client.files, client.config: client.old})
    _set_up(machine, client)
    machine.calls()
    with model_stand_in() as model:
        _ask(machine, client, model)
    calls = machine.calls()
    assert calls[0] in HANDSHAKES
    assert "tools/list" in calls
    assert model.requests
    assert client.names_tools is None or client.names_tools in model.asked
    assert client.rule is None or RULE in model.asked


def _set_up(machine: UserMachine, client: RealClient) -> None:
    rules = ["--rules"] if client.rule else []
    done = machine.ours("setup", client.name, "--yes", *rules)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "the entry starts" in done.stdout


def _shown(machine: UserMachine, client: RealClient) -> str:
    if not client.shows:
        return (machine.home / client.config).read_text("utf-8")
    done = machine.run([*client.command(), *client.shows])
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def _ask(machine: UserMachine, client: RealClient, model: ModelStandIn) -> None:
    def with_url(text: str) -> str:
        return text.replace("{url}", model.url)

    if client.name == "cline":  # it keeps the address of its model in a file of its own
        words = ["auth", "openai", "-k", "none", "-m", "stand-in", "-b", with_url("{url}/v1")]
        assert machine.run([*client.command(), *words]).returncode == 0
    environment = {name: with_url(text) for name, text in client.environment.items()}
    machine.run([*client.command(), *map(with_url, client.asks)], environment)
    if client.name == "cline":  # a daemon of its own stays behind otherwise
        assert machine.run([*client.command(), "hub", "stop"]).returncode == 0


def _comparable(shown: str) -> list[str]:
    """Return the lines of an output that name the server."""
    return [line for line in shown.splitlines() if "context7" in line]


def _files(machine: UserMachine) -> dict[str, bytes]:
    """Return the contents of all files of clients in the home."""
    return {
        str(path.relative_to(machine.home)): path.read_bytes()
        for path in machine.home.rglob("*")
        if path.is_file() and ".local" not in path.parts and ".cache" not in path.parts
    }
