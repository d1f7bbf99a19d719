"""`setup`: write this program's entry into the configuration files of MCP clients.

Nothing is written before the changes are shown and agreed to. A key stays where it is: in the
client's own file, as the value or reference that it was; the home gets no copy of it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from context7_fabric.cli.output import plain_console
from context7_fabric.cli.text import (
    CommandParser,
    one_line,
    print_error,
    print_json,
    print_note,
    print_text,
)
from context7_fabric.cli.trial import EntryDoesNotStart, EntryProcess, process_of, start
from context7_fabric.client_config.clients import CLIENTS, NAMES, Machine, McpClient
from context7_fabric.client_config.command import lasting_command, shell_variables
from context7_fabric.client_config.edit import (
    FileContent,
    check_writable,
    diff_of,
    read_file,
)
from context7_fabric.client_config.entries import FilePlan, NewServer, places_of, plan_file
from context7_fabric.client_config.locate import also_named, clients_here, files_of, this_machine
from context7_fabric.client_config.undo import ChangeRecord, records, undo, write_change
from context7_fabric.errors import (
    ClientFileChanged,
    ClientFileError,
    ConfigurationSyntaxError,
    SettingError,
)
from context7_fabric.process import harmless, set_up_logging
from context7_fabric.relay.folders import home_of
from context7_fabric.relay.usage import suggestion

_ATTEMPTS: Final = 3
"""Writes of a file that its client changes at the same time."""


@dataclass(slots=True)
class FileSetup:
    """A client's file and its fate: `state` is planned, unchanged, written, left or failed."""

    client: McpClient
    path: Path
    state: str = "planned"
    reason: str | None = None
    backup: Path | None = None
    notes: Sequence[str] = ()
    content: FileContent | None = None
    plan: FilePlan | None = None

    def as_object(self) -> dict[str, Any]:
        """Return what `--json` prints about the file."""
        return {
            "client": self.client.name,
            "file": str(self.path),
            "state": self.state,
            "reason": self.reason,
            "backup": str(self.backup) if self.backup else None,
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class StartOutcome:
    """The start of an entry, which clients with equal ones share."""

    clients: list[str] = field(default_factory=list)
    seconds: float | None = None
    tools: Sequence[str] = ()
    error: str | None = None


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
    if not (options.yes or options.dry_run) and (options.json or not _is_terminal()):
        print_error("there is no terminal to ask at: --yes writes, --dry-run shows the changes")
        return 2
    copied, secret = shell_variables(os.environ)
    server = NewServer(lasting_command(), copied, secret)
    files = list(_planned(clients, machine, server, options))
    return _set_up(files, server, options, home)


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


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


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
    return "this program" if all(each.ours for each in found) else "Context7's own server"


def _planned(
    clients: Sequence[McpClient],
    machine: Machine,
    server: NewServer,
    options: argparse.Namespace,
) -> Iterator[FileSetup]:
    """Yield the change of each file; one that several clients read comes once."""
    project = Path.cwd() if options.project else None
    seen: set[Path] = set()
    for client in clients:
        for path in files_of(client, machine, project):
            if path not in seen:
                seen.add(path)
                yield _plan(FileSetup(client, path), server, in_project=options.project)
        if project is None:
            for path in also_named(client, machine):
                print_note(one_line(f"{path} names Context7 too; it is never changed."))


def _plan(setup: FileSetup, server: NewServer, *, in_project: bool) -> FileSetup:
    """Return a file with its content and plan, or with the reason why it stays as it is."""
    try:
        content = read_file(setup.path, in_project=in_project)
        plan = plan_file(setup.client, content.text, server, in_project=in_project)
        if plan.obstacle:
            return replace(setup, state="left", reason=plan.obstacle)
        is_same = content.data is not None and content.encoded(plan.text) == content.data
        if not is_same:
            check_writable(content)
    except ClientFileError as error:
        return replace(setup, state="failed", reason=str(error))
    except ConfigurationSyntaxError as error:
        return replace(setup, state="failed", reason=f"{setup.path}, {error}")
    state = "unchanged" if is_same else "planned"
    return replace(setup, state=state, content=content, plan=plan, notes=plan.notes)


def _set_up(
    files: list[FileSetup], server: NewServer, options: argparse.Namespace, home: Path
) -> int:
    changes = [each for each in files if each.state == "planned"]
    if not options.json:
        _show(files)
    if options.dry_run:
        return _ended(files, [], options)
    if changes and not (options.yes or _agreed(f"Write {_counted(len(changes))}? [y/N] ")):
        print_note("Nothing was changed.")
        return 1
    written = {
        id(each): _written(each, server, home, in_project=options.project) for each in changes
    }
    files = [written.get(id(each), each) for each in files]
    if not options.json:
        _report(each for each in files if each.state == "written")
        _report_failures(each for each in written.values() if each.state != "written")
    return _ended(files, _starts(files), options)


def _show(files: Sequence[FileSetup]) -> None:
    """Print the change of each file, the keys in it redacted."""
    for each in files:
        title = f"{each.client.title}: {each.path}"
        if each.state == "unchanged":
            print_text(f"{title} has this entry already")
        elif each.content is not None and each.plan is not None:
            secrets = [secret for placed in each.plan.placed for secret in placed.secrets]
            print_text(title)
            print(harmless(diff_of(each.content, each.plan.text, secrets)), flush=True)
        for note in each.notes:
            print_note(f"{each.client.title}: {one_line(note)}.")
    _report_failures(each for each in files if each.state in ("left", "failed"))


def _report_failures(files: Iterator[FileSetup]) -> None:
    for each in files:
        place = "" if str(each.path) in (each.reason or "") else f"{each.path}: "
        print_error(f"{each.client.title}: {place}{each.reason}; the file is as it was")


def _written(setup: FileSetup, server: NewServer, home: Path, *, in_project: bool) -> FileSetup:
    """Write one file; a change by its client meanwhile is kept, if our entry is the same."""
    for _attempt in range(_ATTEMPTS):
        if setup.state != "planned" or setup.content is None or setup.plan is None:
            return setup
        try:
            backup = write_change(
                setup.client, setup.content, setup.plan, home, datetime.now().astimezone()
            )
            return replace(setup, state="written", backup=backup)
        except ClientFileChanged as error:
            again = _plan(setup, server, in_project=in_project)
            is_agreed = again.plan is not None and again.plan.placed == setup.plan.placed
            setup = again if is_agreed else replace(setup, state="failed", reason=str(error))
        except ClientFileError as error:
            return replace(setup, state="failed", reason=str(error))
    return replace(setup, state="failed", reason="it changes all the time: close the client first")


def _report(files: Iterator[FileSetup]) -> None:
    for each in files:
        backup = f"; the old one is {each.backup}" if each.backup else ""
        print_text(f"{each.client.title}: wrote {each.path}{backup}", hanging=4)


def _starts(files: Sequence[FileSetup]) -> list[StartOutcome]:
    """Start each entry that is in place, equal ones once."""
    outcomes: dict[str, StartOutcome] = {}
    for each in files:
        for placed in each.plan.placed[:1] if each.plan and each.state != "failed" else ():
            try:
                process = process_of(each.client, placed.entry, os.environ)
            except EntryDoesNotStart as error:
                outcomes[each.client.name] = StartOutcome([each.client.title], error=str(error))
                continue
            key = repr((process.command, process.args, sorted(process.env.items())))
            if key not in outcomes:
                outcomes[key] = _started(process, each.client)
            outcomes[key].clients.append(each.client.title)
    return list(outcomes.values())


def _started(process: EntryProcess, client: McpClient) -> StartOutcome:
    try:
        done = start(process, client.limit)
    except EntryDoesNotStart as error:
        return StartOutcome(error=str(error))
    return StartOutcome(seconds=done.seconds, tools=done.tools)


def _ended(
    files: Sequence[FileSetup], starts: Sequence[StartOutcome], options: argparse.Namespace
) -> int:
    """Print the end of a run; return its exit code."""
    failed = any(each.state in ("failed", "left") for each in files)
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


def _agreed(question: str) -> bool:
    try:
        answer = plain_console(stderr=True).input(question, markup=False)
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def _counted(files: int) -> str:
    return "this file" if files == 1 else f"these {files} files"
