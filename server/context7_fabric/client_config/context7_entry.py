"""Recognition of an existing Context7 entry in a client's configuration. Pure.

An entry comes from a user's file, so it may have any shape: what does not fit is not recognised.
Header names and their order: upstash/context7, `packages/mcp/src/index.ts` (2026-09).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from context7_fabric.client_config.launch import (
    EntryForm,
    Launch,
    is_context7_url,
    is_hosted_elsewhere,
    read_launch,
    signs_in,
)

KEY_VARIABLE: Final = "CONTEXT7_API_KEY"
"""Variable that Context7's server and ours read the key from."""


class KeyForm(StrEnum):
    """Meaning of an entry's key."""

    NONE = "none"
    LITERAL = "literal"
    """The key itself: a secret."""
    REFERENCE = "reference"
    """A reference that the client resolves, such as `${env:V}`: it is kept as it is."""
    VARIABLE = "variable"
    """The name of a variable that the client or a bridge reads the key from."""


@dataclass(frozen=True)
class Context7Entry:
    """Existing entry that reaches Context7, and the parts of it that a new entry keeps.

    `key` is None, or a text whose meaning `key_form` gives. `env` has the other variables of the
    entry. `settings` has the members that concern no transport, such as time-outs and switches, as
    they stand. `left_out` names the parts that a new entry cannot have. `obstacle` is the reason
    why the entry is not to be replaced, None if it may be.
    """

    name: str
    form: EntryForm
    key: str | None = field(default=None, repr=False)
    key_form: KeyForm = KeyForm.NONE
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: Mapping[str, object] = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()
    oauth: bool = False
    obstacle: str | None = None

    @property
    def replaceable(self) -> bool:
        """True if the new entry may take this one's place."""
        return self.obstacle is None

    @property
    def ours(self) -> bool:
        """True if the entry starts context7-fabric already."""
        return self.form is EntryForm.OURS


_NAMES: Final = frozenset({"context7", "context7-mcp", "upstash-context7", "mcp-server-context7"})
_KEY_HEADERS: Final = (
    "authorization",
    "x-context7-api-key",
    "context7-api-key",
    "x-api-key",
)
"""Headers with the key, the first one counts; `_` and `-` are one."""

_TRANSPORT_HEADERS: Final = frozenset({"accept", "content-type", "user-agent"})
_HEADER_MEMBERS: Final = ("headers", "http_headers", "httpHeaders")
_URL_MEMBERS: Final = ("url", "serverUrl", "httpUrl")
_SIGN_IN_MEMBERS: Final = ("oauth", "auth", "authProviderType")
_TRANSPORT_MEMBERS: Final = frozenset(
    {
        *_HEADER_MEMBERS, *_URL_MEMBERS, *_SIGN_IN_MEMBERS, "command", "args", "env", "environment",
        "type", "transport", "transportType", "requestOptions", "source", "name",
        "env_http_headers", "bearer_token_env_var", "headersHelper", "tcp", "settings",
    }
)  # fmt: skip
_TOOL_LISTS: Final = ("tools", "includeTools", "enabled_tools")
_UPSTREAM_TOOLS: Final = frozenset({"resolve-library-id", "query-docs", "get-library-docs"})
_PLACEHOLDER = re.compile(r"<.*>|\W*YOUR[_ -].*KEY\W*|\.{3}|…|x{3,}", re.IGNORECASE | re.DOTALL)
_REFERENCE = re.compile(
    r"\$\{[^}]*\}|\{(?:env|file):[^}]*\}|\$[A-Za-z_]\w*|\$\(|%[A-Za-z_]\w*%"
    r"|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$"
)
"""References of all clients; Copilot takes a value that is a variable's name for one, too."""

_BRIDGE_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_BEARER = re.compile(r"bearer\s+", re.IGNORECASE)


def recognise(name: str, entry: object) -> Context7Entry | None:
    """Return the parts of `entry` if it reaches Context7, else None.

    Args:
        name: Name of the entry in its file.
        entry: Parsed value of the entry, in the form of any client.
    """
    if not isinstance(entry, Mapping):
        return None
    members = _flat(entry)
    named = name.lower() in _NAMES
    return (
        _from_command(name, members, named=named)
        or _from_url(name, members)
        or _from_extension(name, members, named=named)
    )


def _flat(entry: Mapping[object, object]) -> dict[str, object]:
    """Return the members of an entry, those of a nested transport or command among them.

    Cline nests `transport`, Continue `requestOptions`, and older versions of Zed `command`.
    """
    members = {key: value for key, value in entry.items() if isinstance(key, str)}
    transport, options = _table(members.get("transport")), _table(members.get("requestOptions"))
    command = _table(members.get("command"))
    if command:
        members = {**members, **command, "command": command.get("path")}
        members.pop("path", None)
    headers = {"headers": options["headers"]} if "headers" in options else {}
    return {**transport, **headers, **members}


def _table(value: object) -> dict[str, object]:
    """Return the members of a table with texts for keys, none if it is no table."""
    return (
        {k: v for k, v in value.items() if isinstance(k, str)} if isinstance(value, Mapping) else {}
    )


def _from_command(name: str, members: Mapping[str, object], *, named: bool) -> Context7Entry | None:
    """Return the entry that starts a process."""
    words = _words(members)
    launch = read_launch(words, named=named) if words else None
    if launch is None:
        return None
    env = {**_texts(members.get("env")), **_texts(members.get("environment")), **launch.env}
    if launch.form is EntryForm.BRIDGE:
        return _bridge(name, members, launch, env)
    key, key_form = _key(launch.key or env.pop(KEY_VARIABLE, None))
    if key is None and KEY_VARIABLE in (*launch.passed, *_list(members.get("env_vars"))):
        key, key_form = KEY_VARIABLE, KeyForm.VARIABLE
    env.pop(KEY_VARIABLE, None)
    return Context7Entry(
        name, launch.form, key, key_form, env, _settings(members),
        obstacle=launch.obstacle or _unusable(key, key_form),
    )  # fmt: skip


def _bridge(
    name: str, members: Mapping[str, object], launch: Launch, env: dict[str, str]
) -> Context7Entry:
    """Return the entry of a bridge, which puts values of its environment into its headers."""
    text, left_out = _key_header(launch.headers)
    found = _BRIDGE_REFERENCE.search(text or "")
    key, key_form = _key(text)
    if found and found[1] in env:
        key, key_form = _key(env.pop(found[1]))
    elif found:
        key, key_form = found[1], KeyForm.VARIABLE
    oauth = launch.url is not None and signs_in(launch.url)
    obstacle = launch.obstacle or _sign_in(oauth=oauth) or _unusable(key, key_form)
    settings = _settings(members)
    return Context7Entry(name, launch.form, key, key_form, env, settings, left_out, oauth, obstacle)


def _from_url(name: str, members: Mapping[str, object]) -> Context7Entry | None:
    """Return the entry that connects to Context7's URL."""
    url = next((each for key in _URL_MEMBERS if isinstance(each := members.get(key), str)), "")
    if is_hosted_elsewhere(url):
        return Context7Entry(name, EntryForm.URL, obstacle="another company's address serves it")
    if not is_context7_url(url):
        return None
    headers = {
        key: text for each in _HEADER_MEMBERS for key, text in _texts(members.get(each)).items()
    }
    text, left_out = _key_header(headers)
    key, key_form = _key(text)
    if key is None:
        key, key_form = _named_variable(members)
    oauth = signs_in(url) or (key is None and any(members.get(each) for each in _SIGN_IN_MEMBERS))
    obstacle = (
        _sign_in(oauth=oauth) or _helper(members) or _renamed(key, key_form)
        or _unusable(key, key_form)
    )  # fmt: skip
    env = {**_texts(members.get("env")), **_texts(members.get("environment"))}
    settings = _settings(members)
    return Context7Entry(
        name, EntryForm.URL, key, key_form, env, settings, left_out, oauth, obstacle
    )


def _from_extension(
    name: str, members: Mapping[str, object], *, named: bool
) -> Context7Entry | None:
    """Return the entry whose server an extension of Zed's brings."""
    by_extension = members.get("source") == "extension" or _table(members.get("settings"))
    if not named or not by_extension:
        return None
    return Context7Entry(
        name, EntryForm.EXTENSION, obstacle="an extension of the client's brings the server"
    )


def _words(members: Mapping[str, object]) -> list[str]:
    """Return the command line of an entry, empty if it has none that can be read."""
    command = members.get("command")
    words = [*(command if isinstance(command, list | tuple) else [command])]
    words += _list(members.get("args"))
    texts = [each if isinstance(each, str) else str(each) for each in words if each is not None]
    return texts if texts and isinstance(words[0], str) else []


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _texts(value: object) -> dict[str, str]:
    """Return the members of a table that are texts, numbers or switches, as texts."""
    return {
        key: str(each).lower() if isinstance(each, bool) else str(each)
        for key, each in _table(value).items()
        if isinstance(each, str | int | float)
    }


def _key_header(headers: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the text of the header with the key, and the headers left out."""
    by_name = {key.lower().replace("_", "-"): text for key, text in headers.items()}
    texts = (by_name[each] for each in _KEY_HEADERS if by_name.get(each, "").strip())
    text = next(texts, None)
    others = [
        key
        for key in headers
        if key.lower().replace("_", "-") not in {*_KEY_HEADERS, *_TRANSPORT_HEADERS}
    ]
    return text, tuple(f"header {each!r}" for each in others)


def _named_variable(members: Mapping[str, object]) -> tuple[str | None, KeyForm]:
    """Return the name of the variable that Codex reads a header from."""
    variable = members.get("bearer_token_env_var")
    if not (isinstance(variable, str) and variable):
        variable = _key_header(_texts(members.get("env_http_headers")))[0]
    return (variable, KeyForm.VARIABLE) if variable else (None, KeyForm.NONE)


def _key(text: str | None) -> tuple[str | None, KeyForm]:
    """Return a key and its meaning; a placeholder of the documentation is none."""
    bare = _BEARER.sub("", (text or "").strip(), count=1)
    if not bare or _PLACEHOLDER.fullmatch(bare):
        return None, KeyForm.NONE
    return bare, KeyForm.REFERENCE if _REFERENCE.search(bare) else KeyForm.LITERAL


def _settings(members: Mapping[str, object]) -> dict[str, object]:
    """Return the members that a new entry keeps.

    A list of tools that has Context7's own alone would hide ours, so it is not kept.
    """
    return {
        key: value
        for key, value in members.items()
        if key not in _TRANSPORT_MEMBERS
        and not (key in _TOOL_LISTS and set(map(str, _list(value))) <= _UPSTREAM_TOOLS)
    }


def _sign_in(*, oauth: bool) -> str | None:
    return "it signs in by OAuth, so it has no key that could be kept" if oauth else None


def _helper(members: Mapping[str, object]) -> str | None:
    return "a program of its own makes its headers" if members.get("headersHelper") else None


def _renamed(key: str | None, form: KeyForm) -> str | None:
    """Return the reason that a header's variable is which Codex cannot pass on, else None.

    Codex passes variables to a process under their own names only.
    """
    usable = form is not KeyForm.VARIABLE or key == KEY_VARIABLE
    return None if usable else f"its key is in the variable {key!r}: rename it to {KEY_VARIABLE}"


def _unusable(key: str | None, form: KeyForm) -> str | None:
    """Return the reason that a literal key is which no server takes, else None."""
    usable = key is None or (key.isascii() and key.isprintable() and " " not in key)
    return (
        None if usable or form is not KeyForm.LITERAL else "its key holds blanks or odd characters"
    )
