"""Entry of this program in a client's file, and the change of a file's text that sets it. Pure.

A key stays in the file that holds it, as the value or reference that it is: the file is as private
as it was, and no other file gets a copy. A new entry holds no key; it refers to the variable of the
shell where the client has a form for that. What else an existing entry has is kept: its variables,
time-outs and approvals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from context7_fabric.client_config.clients import Dialect, Form, McpClient
from context7_fabric.client_config.context7_entry import (
    KEY_VARIABLE,
    Context7Entry,
    KeyForm,
    recognise,
)
from context7_fabric.client_config.jsonc import JsonText
from context7_fabric.client_config.toml_entry import TomlText

SERVER_NAME: Final = "context7"
"""Upstream's own name in these files, so that prompts and allow-lists keep working."""

_SWITCHES: Final = frozenset({"enabled", "disabled"})
"""Members of an existing entry that are not kept: the new one is to be used."""

_START_SECONDS: Final = 60
"""Time for a start that Cline and Codex are given: theirs is 3 s, and by Codex's documents 10 s."""


@dataclass(frozen=True, slots=True)
class NewServer:
    """This program as an entry starts it: its command, the shell's settings, names of secrets."""

    command: Sequence[str]
    copied: Mapping[str, str] = field(default_factory=dict)
    secret: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry of a file: the container, its name there, and its members."""

    container: tuple[str, ...]
    name: str
    entry: Mapping[str, Any]
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Keys that may stand in the lines of a change."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """The text of a file after a change, the entries set, and notes for the user.

    `obstacle` is the reason why the file stays as it is; None if it may be written.
    """

    text: str
    placed: tuple[Placed, ...] = ()
    notes: tuple[str, ...] = ()
    obstacle: str | None = None


def parse(text: str, dialect: Dialect) -> JsonText | TomlText:
    """Return a configuration in the dialect of its client.

    Raises:
        ConfigurationSyntaxError: The client could not read it either.
    """
    return TomlText(text) if dialect is Dialect.TOML else JsonText(text, dialect)


def plan_file(
    client: McpClient, text: str, server: NewServer, *, in_project: bool = False
) -> FilePlan:
    """Return the change that sets this program's entry in the text of a client's file.

    Raises:
        ConfigurationSyntaxError: The text cannot be read or edited.
    """
    placed: list[Placed] = []
    notes: list[str] = []
    result = text
    document = parse(text, client.dialect)
    for container in _containers(client, document):
        entries = document.entries(container)
        name, old, others = _present(entries)
        if old is not None and not old.replaceable:
            return FilePlan(text, obstacle=f"its entry {name!r} stays: {old.obstacle}")
        if old is None and name in entries:
            return FilePlan(text, obstacle=f"its entry {name!r} is of another server")
        entry, about = new_entry(client, server, old, in_project=in_project)
        notes += [*about, *(f"entry {each!r} reaches Context7 too, and stays" for each in others)]
        result = parse(result, client.dialect).with_entry(container, name, entry)
        placed.append(Placed(container, name, entry, _secrets(old)))
    return FilePlan(result, tuple(placed), tuple(dict.fromkeys(notes)))


def places_of(client: McpClient, text: str) -> Iterator[tuple[tuple[str, ...], Context7Entry]]:
    """Yield the entries in the text of a client's file that reach Context7, by container.

    Raises:
        ConfigurationSyntaxError: The text cannot be read.
    """
    document = parse(text, client.dialect)
    for container in _containers(client, document):
        for name, entry in document.entries(container).items():
            found = recognise(name, entry)
            if found is not None:
                yield container, found


def new_entry(
    client: McpClient, server: NewServer, old: Context7Entry | None, *, in_project: bool = False
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the entry for a client, with what an old one has, and notes for the user."""
    env, passed, notes = _environment(client, server, old)
    form = client.project_form if in_project and client.project_form else client.form
    entry = _in_form(form, server.command, env)
    kept = {} if old is None else dict(old.settings)
    if client.name == "codex":
        names = dict.fromkeys([*_texts(kept.pop("env_vars", ())), *passed])
        entry |= {"env_vars": list(names)} if names else {}
        entry["startup_timeout_sec"] = _START_SECONDS
    if client.name == "cline":
        entry["timeout"] = _START_SECONDS
    left = tuple(f"{each} is not carried over" for each in (old.left_out if old else ()))
    if kept.get("disabled") is True or kept.get("enabled") is False:
        left = ("it was switched off, and is on again", *left)
    kept = {key: each for key, each in kept.items() if key not in _SWITCHES}
    if form is Form.TOOLS:
        kept.pop("tools", None)
    return entry | kept, (*notes, *left)


def _containers(client: McpClient, document: JsonText | TomlText) -> list[tuple[str, ...]]:
    """Return the container of a client, and those of Claude Code's projects with an entry."""
    found = [client.container]
    projects = document.entries(("projects",)) if client.name == "claude-code" else {}
    for project in projects:
        container = ("projects", project, *client.container)
        if any(recognise(name, each) for name, each in _inner(projects[project], client).items()):
            found.append(container)
    return found


def _inner(project: object, client: McpClient) -> Mapping[str, Any]:
    servers = project.get(client.container[0]) if isinstance(project, dict) else None
    return servers if isinstance(servers, dict) else {}


def _present(entries: Mapping[str, Any]) -> tuple[str, Context7Entry | None, list[str]]:
    """Return the name for our entry, the entry of that name, and others that reach Context7."""
    found = [each for name, entry in entries.items() if (each := recognise(name, entry))]
    found.sort(key=lambda each: (each.name != SERVER_NAME, each.name.lower() != SERVER_NAME))
    if found and (found[0].name.lower() == SERVER_NAME or SERVER_NAME not in entries):
        return found[0].name, found[0], [each.name for each in found[1:]]
    return SERVER_NAME, None, [each.name for each in found]


def _environment(
    client: McpClient, server: NewServer, old: Context7Entry | None
) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the variables of an entry, the names that a client passes on, and notes."""
    env = {**server.copied, **(old.env if old else {})}
    wanted = [name for name in server.secret if name not in env]
    if old is not None and old.key is not None:
        wanted = [name for name in wanted if name != KEY_VARIABLE]
        if old.key_form is not KeyForm.VARIABLE:
            env[KEY_VARIABLE] = old.key
        else:
            wanted.append(KEY_VARIABLE)
    if client.dialect is Dialect.TOML:
        return env, wanted, []
    named = old.key if old and old.key_form is KeyForm.VARIABLE and old.key else KEY_VARIABLE
    missing = []
    for name in wanted:
        source = named if name == KEY_VARIABLE else name
        if client.reference is not None and not (client.inherits and source == name):
            env[name] = client.reference % source
        elif not (client.passes_environment and source == name):
            missing.append(f"{name} is not in the entry: set it where {client.title} starts")
    return env, [], missing


def _in_form(form: Form, command: Sequence[str], env: Mapping[str, str]) -> dict[str, Any]:
    variables = dict(env)
    if form is Form.LOCAL:
        entry: dict[str, Any] = {"type": "local", "command": list(command), "enabled": True}
        return entry | ({"environment": variables} if variables else {})
    entry = {"command": command[0], "args": list(command[1:])}
    entry |= {"env": variables} if variables else {}
    if form is Form.TYPED:
        return {"type": "stdio", **entry}
    return {"type": "local", **entry, "tools": ["*"]} if form is Form.TOOLS else entry


def _secrets(old: Context7Entry | None) -> tuple[str, ...]:
    is_literal = old is not None and old.key_form is KeyForm.LITERAL
    return (old.key,) if old is not None and is_literal and old.key else ()


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
