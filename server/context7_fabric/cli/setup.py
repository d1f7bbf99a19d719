"""`setup`: write this program's entry into the configuration files of MCP clients.

Nothing is written before the changes are shown and agreed to. A key stays where it is: in the
client's own file, as the value or reference that it was; the home gets no copy of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from context7_fabric.cli.output import can_ask, is_agreed
from context7_fabric.cli.text import (
    CommandParser,
    one_line,
    print_error,
    print_json,
    print_note,
    print_text,
)
from context7_fabric.cli.trial import StartOutcome, start_all
from context7_fabric.client_config.clients import CLIENTS, NAMES, Machine, McpClient
from context7_fabric.client_config.command import lasting_command, shell_variables
from context7_fabric.client_config.edit import FileContent, check_writable, diff_of, read_file
from context7_fabric.client_config.entries import FilePlan, NewServer, places_of, plan_file
from context7_fabric.client_config.launch import EntryForm
from context7_fabric.client_config.locate import (
    also_named,
    clients_here,
    files_of,
    rule_file,
    this_machine,
)
from context7_fabric.client_config.rules import with_rule
from context7_fabric.client_config.undo import ChangeRecord, records, undo, write_change
from context7_fabric.errors import (
    ClientFileChanged,
    ClientFileError,
    ConfigurationSyntaxError,
    SettingError,
)
from context7_fabric.process import harmless, imported, set_up_logging
from context7_fabric.project.dependencies import read_dependencies
from context7_fabric.relay.folders import home_of
from context7_fabric.relay.usage import suggestion

_WARNING = (
    "Hold the documentation of this project's libraries on this machine? GitHub and other forges"
    " then learn which libraries it uses. [y/N] "
)


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
        client, has_entry = self.client, self.plan is not None and self.rule is None
        consent = client.project_consent if self.in_project else client.consent
        return (
            *(self.plan.notes if self.plan else ()),
            *([consent] if consent and has_entry else ()),
        )

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


def run(words: list[str]) -> int:
    """Set clients up, or undo it; the exit code is 1 if a file or a start failed."""
    options = _parser().parse_args(words)
    set_up_logging("warning")
    machine, home = this_machine(), Path(home_of(os.environ))
    if options.undo:
        return _undone(options, home)
    clients = _clients(options, machine)
    if clients is None:
        return _listed(machine, as_json=options.json)
    if not (options.yes or options.dry_run) and (options.json or not can_ask()):
        print_error("there is no terminal to ask at: --yes writes, --dry-run shows the changes")
        return 2
    return _set_up(clients, machine, options, home)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        "context7-fabric setup",
        description="Write this program's entry into the configuration files of MCP clients."
        " Without a client it lists those that are here.",
    )
    parser.add_argument("client", nargs="*", type=_name, metavar="CLIENT", help=", ".join(CLIENTS))
    parser.add_argument("--all", action="store_true", help="every client that is here")
    parser.add_argument(
        "--project", action="store_true", help="the files of the project in this folder"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show the changes")
    parser.add_argument("--yes", action="store_true", help="write without asking")
    parser.add_argument("--undo", action="store_true", help="take the changes back")
    parser.add_argument(
        "--rules",
        action=argparse.BooleanOptionalAction,
        help="also write the rule that makes agents use the tools",
    )
    parser.add_argument(
        "--docs",
        action=argparse.BooleanOptionalAction,
        help="then hold the documentation of this folder's project, as `warm` does",
    )
    parser.add_argument("--json", action="store_true", help="the result as a JSON object")
    return parser


def _name(text: str) -> str:
    """Return the name of a client for one of its names."""
    if text not in NAMES:
        hint = suggestion(text, NAMES) or f": {', '.join(CLIENTS)}"
        raise argparse.ArgumentTypeError(f"there is no client {text!r}{hint}")
    return NAMES[text]


def _clients(options: argparse.Namespace, machine: Machine) -> list[McpClient] | None:
    """Return the clients to set up; None if they are to be listed.

    Raises:
        SettingError: `--yes` names none, or a client has no file in a project.
    """
    named = [CLIENTS[name] for name in dict.fromkeys(options.client)]
    if options.all:
        found = [each for each in clients_here(machine) if each not in named]
        found = [each for each in found if each.project_file or not options.project]
        return [*named, *found]
    if not named and (options.yes or options.dry_run):
        raise SettingError("setup", "", "a name of a client, or --all")
    for each in named:
        if options.project and not each.project_file:
            raise SettingError("--project", each.name, "a client with a file in a project")
    return named or None


def _listed(machine: Machine, *, as_json: bool) -> int:
    """Print the clients that are here, with their files and the entry that each has."""
    rows = [
        {"client": client.name, "file": str(path), "entry": _entry_in(client, path)}
        for client in clients_here(machine)
        for path in files_of(client, machine)
    ]
    if as_json:
        print_json({"clients": rows})
        return 0
    for row in rows:
        print_text(f"{row['client']}: {row['file']} ({row['entry']})", hanging=4)
    names = f"all of them: {', '.join(CLIENTS)}"
    print_note(
        "Set one up with `context7-fabric setup CLIENT`, or these with `--all`."
        if rows
        else f"No client was found here; one can be named all the same ({names})."
    )
    return 0


def _entry_in(client: McpClient, path: Path) -> str:
    """Return in words which entry a file has."""
    try:
        found = [each for _container, each in places_of(client, read_file(path).text)]
    except (ClientFileError, ConfigurationSyntaxError) as error:
        return f"cannot be read: {error.reason}"
    if not found:
        return "no entry"
    if all(each.form is EntryForm.OURS for each in found):
        return "this program"
    return f"Context7's own server: {', '.join(dict.fromkeys(each.form for each in found))}"


def _set_up(
    clients: Sequence[McpClient], machine: Machine, options: argparse.Namespace, home: Path
) -> int:
    project = Path.cwd() if options.project else None
    copied, secret = shell_variables(os.environ)
    server = NewServer(lasting_command(), copied, secret)
    files = list(_plan_entries(clients, machine, server, project))
    _show(files, options)
    if copied and any(each.state == "planned" for each in files):
        print_note(f"The entry takes {', '.join(sorted(copied))} over from this shell.")
    for path in [] if project else [path for each in clients for path in also_named(each, machine)]:
        print_note(one_line(f"{path} names Context7 too; it is never changed."))
    changes = [each for each in files if each.state == "planned"]
    question = f"Write {_counted(len(changes))}? [y/N] "
    is_settled = not changes or options.dry_run or options.yes
    if not is_settled and not is_agreed(question, "Nothing was changed."):
        return 1
    files = _write(files, server, options, home)
    files += _with_rules(files, machine, server, options, home)
    starts = [] if options.dry_run else start_all(_entries_in_place(files), os.environ)
    code = _ended(files, starts, options)
    return code or _documented(options)


def _with_rules(
    files: Sequence[FileSetup],
    machine: Machine,
    server: NewServer,
    options: argparse.Namespace,
    home: Path,
) -> list[FileSetup]:
    """Write the rule for the clients whose entry is in place, if that is wanted."""
    if options.rules is False:
        return []
    clients = [each.client for each in files if not each.is_refused and each.state != "left"]
    rules = list(_plan_rules(clients, machine, Path.cwd() if options.project else None))
    changes = [each for each in rules if each.state == "planned"]
    places = ", ".join(str(each.path) for each in changes)
    question = f"Add the rule that makes agents use the tools to {places}? [y/N] "
    takes = options.rules or options.yes or options.dry_run
    if changes and not takes and not is_agreed(question):
        return []
    _show(rules, options)
    return _write(rules, server, options, home)


def _write(
    files: Sequence[FileSetup], server: NewServer, options: argparse.Namespace, home: Path
) -> list[FileSetup]:
    """Write the files that are planned; return all of them with their fate."""
    if options.dry_run:
        return list(files)
    written = [
        _write_planned(each, server, home) if each.state == "planned" else each for each in files
    ]
    for before, each in zip(files, written, strict=True):
        if each.state == "written" and not options.json:
            backup = f"; the old one is {each.backup}" if each.backup else ""
            print_text(f"{each.client.title}: wrote {each.path}{backup}", hanging=4)
        elif each.state != before.state:
            _report_failure(each, options)
    return written


def _show(files: Iterable[FileSetup], options: argparse.Namespace) -> None:
    """Print the change of each file, the keys in it redacted."""
    for each in files:
        title = f"{each.client.title}: {each.path}"
        if each.state == "unchanged" and not options.json:
            part = "entry" if each.rule is None else "rule"
            print_text(f"{title} has this {part} already", hanging=4)
        elif each.state == "planned" and not options.json:
            print_text(title)
            print(harmless(each.diff()), flush=True)
        for note in each.notes:
            print_note(f"{each.client.title}: {one_line(note)}.")
        if each.state in ("left", "failed"):
            _report_failure(each, options)


def _report_failure(each: FileSetup, options: argparse.Namespace) -> None:
    if options.json:
        return
    place = "" if str(each.path) in (each.reason or "") else f"{each.path}: "
    print_error(f"{each.client.title}: {place}{each.reason}; the file is as it was")


def _plan_entries(
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


def _plan_rules(
    clients: Sequence[McpClient], machine: Machine, project: Path | None
) -> Iterator[FileSetup]:
    """Yield the change of each file for the rule; one that several clients read comes once."""
    seen: set[Path] = set()
    for client in dict.fromkeys(clients):
        found = rule_file(client, machine, project)
        if found is not None and found[0] not in seen:
            seen.add(found[0])
            yield _planned(FileSetup(client, *found, in_project=project is not None), None)


def _write_planned(setup: FileSetup, server: NewServer, home: Path) -> FileSetup:
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


def _entries_in_place(files: Sequence[FileSetup]) -> list[tuple[McpClient, Mapping[str, Any]]]:
    return [
        (each.client, placed.entry)
        for each in files
        if each.plan and not each.is_refused
        for placed in each.plan.placed[:1]
    ]


def _documented(options: argparse.Namespace) -> int:
    """Hold the documentation of the project in this folder, if there is one and it is wanted.

    Without an answer nothing is fetched: the hosts of the documentation learn what is used.
    """
    if options.docs is False or options.dry_run:
        return 0
    is_asked = options.docs is None
    if is_asked and (options.yes or options.json or not read_dependencies(Path.cwd()).found):
        return 0
    if is_asked and not is_agreed(_WARNING):
        return 0
    words = [*(["--yes"] if options.yes else []), *(["--json"] if options.json else [])]
    return int(imported("context7_fabric.cli.warm").run(words))


def _ended(
    files: Sequence[FileSetup], starts: Sequence[StartOutcome], options: argparse.Namespace
) -> int:
    """Print the end of a run; return its exit code."""
    failed = any(each.is_refused for each in files)
    failed = failed or any(each.error for each in starts)
    if options.json:
        print_json(
            {
                "files": [each.as_object() for each in files],
                "starts": [asdict(each) for each in starts],
            }
        )
        return int(failed)
    for each in starts:
        _print_start(each)
    if not failed and starts and not options.dry_run:
        print_text("Restart the client, or reload its servers. `--undo` takes this back.")
    return int(failed)


def _print_start(outcome: StartOutcome) -> None:
    clients = ", ".join(dict.fromkeys(outcome.clients))
    if outcome.error is None:
        tools = ", ".join(outcome.tools)
        print_text(f"{clients}: the entry starts in {outcome.seconds:.1f} s and offers {tools}")
        return
    print_error(
        f"{clients}: the entry does not start: {outcome.error}; `context7-fabric doctor` checks"
        " the installation, `context7-fabric setup --undo` takes the change back"
    )


def _undone(options: argparse.Namespace, home: Path) -> int:
    """Take changes back, of the named clients or of all."""
    named = set(options.client)
    found = [each for each in records(home) if not named or each.client in named]
    results, failed = [], False
    for record in found:
        result = _undone_file(record, home, is_dry=options.dry_run, as_json=options.json)
        results.append(result)
        failed |= result["state"] == "failed"
    if options.json:
        print_json({"files": results})
    elif not results:
        print_note("There is nothing to undo.")
    return int(failed)


def _undone_file(
    record: ChangeRecord, home: Path, *, is_dry: bool, as_json: bool
) -> Mapping[str, Any]:
    title = CLIENTS[record.client].title
    result = {"client": record.client, "file": record.path, "state": "undone", "reason": None}
    try:
        outcome = "would be undone" if is_dry else undo(record, home)
    except ClientFileError as error:
        print_error(f"{title}: {error}; the file is as it was")
        return {**result, "state": "failed", "reason": str(error)}
    if not as_json:
        print_text(f"{title}: {record.path} {outcome}", hanging=4)
    return {**result, "reason": outcome}


def _counted(files: int) -> str:
    return "this file" if files == 1 else f"these {files} files"
