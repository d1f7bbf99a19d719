"""Files that `setup` changes: the plan for each, and its writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from context7_fabric.client_config.clients import Machine, McpClient
from context7_fabric.client_config.edit import FileContent, check_writable, diff_of, read_file
from context7_fabric.client_config.entries import FilePlan, NewServer, plan_file
from context7_fabric.client_config.locate import files_of, rule_file
from context7_fabric.client_config.rules import with_rule
from context7_fabric.client_config.undo import write_change
from context7_fabric.errors import ClientFileChanged, ClientFileError, ConfigurationSyntaxError

_ATTEMPTS: Final = 3
"""Writes of a file that its client changes at the same time."""


@dataclass(slots=True)
class FileSetup:
    """A client's file and its fate: `state` is planned, unchanged, written, left or failed.

    `rule` is None for a file with entries; else it tells whether the file holds the rule alone.
    """

    client: McpClient
    path: Path
    rule: bool | None = None
    in_project: bool = False
    state: str = "planned"
    reason: str | None = None
    backup: Path | None = None
    content: FileContent | None = None
    plan: FilePlan | None = None

    @property
    def is_refused(self) -> bool:
        """Tell whether the file stays as it is although it was to be changed."""
        return self.state == "failed" or (self.state == "left" and self.rule is None)

    @property
    def notes(self) -> Sequence[str]:
        """Notes for the user."""
        return self.plan.notes if self.plan else ()

    def diff(self) -> str:
        """Return the change as a unified diff, in which keys are redacted."""
        if self.content is None or self.plan is None:
            return ""
        secrets = [secret for placed in self.plan.placed for secret in placed.secrets]
        return diff_of(self.content, self.plan.text, secrets)

    def as_object(self) -> dict[str, Any]:
        """Return what `--json` prints about the file."""
        return {
            "client": self.client.name,
            "file": str(self.path),
            "content": "entry" if self.rule is None else "rule",
            "state": self.state,
            "reason": self.reason,
            "backup": str(self.backup) if self.backup else None,
            "notes": list(self.notes),
        }


def plan_entries(
    clients: Sequence[McpClient], machine: Machine, server: NewServer, project: Path | None
) -> Iterator[FileSetup]:
    """Yield the change of each file; one that several clients read comes once."""
    seen: set[Path] = set()
    for client in clients:
        for path in files_of(client, machine, project):
            if path not in seen:
                seen.add(path)
                setup = FileSetup(client, path, in_project=project is not None)
                yield _planned(setup, server)


def plan_rules(
    clients: Sequence[McpClient], machine: Machine, project: Path | None
) -> Iterator[FileSetup]:
    """Yield the change of each file for the rule; one that several clients read comes once."""
    seen: set[Path] = set()
    for client in dict.fromkeys(clients):
        found = rule_file(client, machine, project)
        if found is not None and found[0] not in seen:
            seen.add(found[0])
            yield _planned(FileSetup(client, *found, in_project=project is not None), None)


def write_planned(setup: FileSetup, server: NewServer, home: Path) -> FileSetup:
    """Write a file; a change by its client meanwhile is kept, if our part stays the same."""
    agreed = setup.plan
    for _attempt in range(_ATTEMPTS):
        if setup.state != "planned" or setup.content is None or setup.plan is None:
            return setup
        if agreed is None or setup.plan.placed != agreed.placed:
            return replace(setup, state="failed", reason="it was changed meanwhile: run this again")
        try:
            now = datetime.now().astimezone()
            backup = write_change(setup.client, setup.content, setup.plan, home, now)
            return replace(setup, state="written", backup=backup)
        except ClientFileChanged:
            setup = _planned(setup, server)
        except ClientFileError as error:
            return replace(setup, state="failed", reason=str(error))
    return replace(setup, state="failed", reason="it changes all the time: close the client first")


def _planned(setup: FileSetup, server: NewServer | None) -> FileSetup:
    """Return a file with its content and plan, or with the reason why it stays as it is."""
    try:
        content = read_file(setup.path, in_project=setup.in_project)
        plan = _plan_of(setup, content, server)
        if plan.obstacle:
            return replace(setup, state="left", reason=plan.obstacle, plan=None)
        is_same = content.data is not None and content.encoded(plan.text) == content.data
        if not is_same:
            check_writable(content)
    except ClientFileError as error:
        return replace(setup, state="failed", reason=str(error), plan=None)
    except ConfigurationSyntaxError as error:
        return replace(setup, state="failed", reason=f"{setup.path}, {error}", plan=None)
    return replace(setup, state="unchanged" if is_same else "planned", content=content, plan=plan)


def _plan_of(setup: FileSetup, content: FileContent, server: NewServer | None) -> FilePlan:
    if setup.rule is None and server is not None:
        return plan_file(setup.client, content.text, server, in_project=setup.in_project)
    text = with_rule(content.text, is_own=setup.rule is True)
    if text is None:
        return FilePlan(content.text, obstacle="it holds another text, so the rule is left out")
    return FilePlan(text)
