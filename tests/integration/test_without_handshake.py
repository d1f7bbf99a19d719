"""Clients on stdio that send no `initialize`, or send it late or twice, are answered."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.client import Dialogue
from support.daemons import daemons, with_daemon
from support.processes import spawn
from support.product import BY_ITSELF, PROGRAM, product_environment

OFFLINE = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
INITIALIZED = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"})


@pytest.fixture(params=["by itself", "by a daemon"])
def dialogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dialogue]:
    """A client session without a handshake."""
    with daemons(tmp_path) as home:
        alone = product_environment(home, OFFLINE | BY_ITSELF)
        environment = alone if request.param == "by itself" else with_daemon(home)
        with spawn([PROGRAM], environment) as process:
            yield Dialogue(process)


def test_every_method_is_answered_without_a_handshake(dialogue: Dialogue) -> None:
    assert dialogue.ask("ping") == {}
    assert dialogue.ask("tools/list")["tools"]
    assert dialogue.ask("resources/list")["resources"]
    assert dialogue.ask("resources/templates/list")["resourceTemplates"]
    assert dialogue.ask("resources/read", uri="library://registry")["contents"]
    assert dialogue.ask("prompts/list")["prompts"]
    assert dialogue.call("query-docs", libraryId="/a/b", query="x")["content"]
    assert dialogue.ask("resources/subscribe", uri="fabric://GLOBAL/x") == {}
    assert "notifications/" not in dialogue.process.out.text


@pytest.mark.parametrize("first", ["tools/list", "ping", "notifications/initialized"])
def test_a_late_handshake_is_accepted_and_so_is_another(dialogue: Dialogue, first: str) -> None:
    if first.startswith("notifications/"):
        dialogue.process.send(INITIALIZED)
    else:
        dialogue.ask(first)
    assert dialogue.call("query-docs", libraryId="/a/b", query="x")["content"]
    for _time in range(2):
        assert dialogue.introduce()["protocolVersion"] == "2025-06-18"
        assert dialogue.ask("tools/list")["tools"]
