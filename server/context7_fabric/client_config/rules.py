"""Rule for agents: its text, its place in each client, its setting and cutting. Pure.

A client has a place here only if a rule there was seen in a request to the model (all run on
2026-11-30, versions as in the table of clients). The rule stands between two marker lines. In a
file for other instructions too, every byte around them stays as it is; in a file of its own it is
the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Final

from context7_fabric.client_config.clients import CLIENTS, Machine

_START: Final = "<!-- context7-fabric: start -->"
_END: Final = "<!-- context7-fabric: end -->"
_BLOCK: Final = re.compile(
    rf"^{_START}\r?\n(?:(?!<!-- context7)[^\n]*\n)*{_END}(?:\r?\n|\Z)", re.MULTILINE
)
_THEIRS: Final = "<!-- context7 -->"
_OTHERS: Final = re.compile(
    rf"^{_THEIRS}[ \t]*\r?\n(?:(?!<!-- context7)[^\n]*\n)*{_THEIRS}[ \t]*(?:\r?\n|\Z)",
    re.MULTILINE,
)
"""Block of ctx7 0.5.12."""

_OF_CONTEXT7: Final = re.compile(r"context7", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RulePlace:
    """File for a client's rule: of `paths` the first that is there, else the last.

    `is_own` is True for a file that holds nothing but the rule.
    """

    paths: tuple[PurePath, ...]
    is_own: bool = False


def _claude_code(machine: Machine) -> RulePlace:
    folder = machine.named("CLAUDE_CONFIG_DIR", machine.home / ".claude")
    return RulePlace((folder / "rules" / "context7.md",), is_own=True)


def _opencode(machine: Machine) -> RulePlace:
    folder = machine.named("OPENCODE_CONFIG_DIR", machine.xdg() / "opencode")
    return RulePlace((folder / "AGENTS.md",))


def _beside(client: str, *names: str) -> Callable[[Machine], RulePlace]:
    """Return the function for a file in the folder of a client's configuration."""

    def place(machine: Machine) -> RulePlace:
        folder = CLIENTS[client].files(machine)[0][0].parent
        return RulePlace(tuple(folder / name for name in names))

    return place


_USER: Final[Mapping[str, Callable[[Machine], RulePlace]]] = {
    "claude-code": _claude_code,
    # Codex reads the override in place of the other.
    "codex": _beside("codex", "AGENTS.override.md", "AGENTS.md"),
    "gemini": _beside("gemini", "GEMINI.md"),
    "qwen": _beside("qwen", "QWEN.md"),
    "opencode": _opencode,
    # Not AGENTS.md, which Copilot does not read there.
    "copilot": _beside("copilot", "copilot-instructions.md"),
}
_PROJECT: Final[Mapping[str, tuple[str, bool]]] = {
    "claude-code": (".claude/rules/context7.md", True),
    "codex": ("AGENTS.md", False),
    "gemini": ("GEMINI.md", False),
    "qwen": ("AGENTS.md", False),
    "opencode": ("AGENTS.md", False),
    "copilot": ("AGENTS.md", False),
}
"""File in a project by client, and whether it is the rule's own."""


def rule_place(client: str, machine: Machine, project: PurePath | None = None) -> RulePlace | None:
    """Return the file for the rule of a client, of the user or in a project.

    Returns:
        None if no place is known from which the rule reaches the model.
    """
    if project is None:
        place = _USER.get(client)
        return place(machine) if place else None
    name, is_own = _PROJECT.get(client, ("", False))
    return RulePlace((project / name,), is_own) if name else None


@cache
def rule_text() -> str:
    """Return the rule without its marker lines."""
    return files("context7_fabric.client_config").joinpath("rule.md").read_text("utf-8")


def has_rule(text: str) -> bool:
    """Return whether a text holds our rule, of this version or of another."""
    return _BLOCK.search(text) is not None


def is_about_context7(text: str) -> bool:
    """Return whether a text names Context7, as ctx7's rules and ours do."""
    return _OF_CONTEXT7.search(text) is not None


def with_rule(text: str, *, is_own: bool) -> str | None:
    """Return a file's text with the rule, once, in place of an older one or of ctx7's.

    Args:
        text: Text of the file, empty if there is none.
        is_own: True for a file that holds nothing but the rule.

    Returns:
        None if the file of its own holds something else, so that it has to stay.
    """
    block = _block("\r\n" if "\r\n" in text else "\n")
    found = _BLOCK.search(text) or _OTHERS.search(text)
    if is_own and not found:
        return block if not text.strip() or is_about_context7(text) else None
    if not found:
        return text + (_line_end(block) if text else "") + block
    is_ended = found[0].endswith("\n")
    head, tail = text[: found.start()], _OTHERS.sub("", text[found.end() :])
    return _OTHERS.sub("", head) + (block if is_ended else block.rstrip("\r\n")) + tail


def without_rule(text: str, before: str | None = None) -> str:
    """Return a file's text without our rule, with ctx7's if it stood there.

    Args:
        text: Text of the file now.
        before: Text of the file before the rule was set, None if there was none.
    """
    found = _BLOCK.search(text)
    if not found:
        return text
    other = _OTHERS.search(before or "")
    head, tail = text[: found.start()], text[found.end() :]
    return head + other[0] + tail if other else _joined(head, tail, _line_end(found[0]))


def _joined(head: str, tail: str, line_end: str) -> str:
    """Return the text around a block without the line end that was set in front of it."""
    bare = head.removesuffix(line_end)
    is_line = not tail or not bare or bare.endswith("\n")
    return (bare if is_line else head) + tail


def _block(line_end: str) -> str:
    return f"{_START}\n{rule_text()}{_END}\n".replace("\n", line_end)


def _line_end(block: str) -> str:
    return "\r\n" if "\r\n" in block else "\n"
