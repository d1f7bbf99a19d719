"""Notes of `setup` about the consent that a client asks for before it starts a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.cli.setup import FileSetup
from context7_fabric.client_config.clients import CLIENTS
from context7_fabric.client_config.entries import FilePlan


@pytest.mark.parametrize(
    ("client", "in_project", "expected"),
    [
        ("gemini", False, ["it starts servers in trusted folders only"]),
        ("codex", False, []),
        ("codex", True, ["it reads the files of trusted projects only"]),
        ("qwen", True, ["approve it once: qwen mcp approve context7"]),
    ],
)
def test_notes_of_an_entry_name_the_consent_that_a_client_asks_for(
    client: str, *, in_project: bool, expected: list[str]
) -> None:
    path, plan = Path("/x/settings"), FilePlan("{}", notes=("a note",))
    setup = FileSetup(CLIENTS[client], path, in_project=in_project, plan=plan)
    assert list(setup.notes) == ["a note", *expected]


def test_notes_of_a_rule_name_no_consent() -> None:
    setup = FileSetup(CLIENTS["gemini"], Path("/x/GEMINI.md"), rule=False, plan=FilePlan(""))
    assert list(setup.notes) == []
