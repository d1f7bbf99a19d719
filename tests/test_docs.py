"""The README against the code: variables, commands, and examples are those there are."""

import json
import re
from pathlib import Path

from context7_fabric.cli.main import COMMANDS
from context7_fabric.settings import read_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PACKAGE = ROOT / "server" / "context7_fabric"


def variables_in(text: str) -> set[str]:
    """Return our own variables that `text` names."""
    return set(re.findall(r"CONTEXT7_FABRIC_[A-Z_]+", text))


def test_every_variable_of_the_settings_stands_in_the_readme_and_no_other() -> None:
    source = (PACKAGE / "settings.py").read_text("utf-8")
    reads = r'reader\.(?:text|path|choice|duration|whole)\(\s*"([A-Z_]+)"'
    known = {f"CONTEXT7_FABRIC_{name}" for name in re.findall(reads, source)}
    assert known
    assert variables_in(README) == known


def test_every_command_stands_in_the_readme() -> None:
    listed = set(re.findall(r"^\| `context7-fabric ([a-z]+)", README, re.MULTILINE))
    assert listed == set(COMMANDS) - {"serve"}


def test_the_example_configuration_is_a_bare_command_with_variables_that_exist() -> None:
    example = json.loads((ROOT / "mcp.json.example").read_text("utf-8"))
    server = example["mcpServers"]["context7"]
    assert server["command"] == "context7-fabric"
    assert server["args"] == []
    assert {name for name in server["env"] if name not in README} == set()
    assert read_settings(server["env"]).upstream.api_key is None
