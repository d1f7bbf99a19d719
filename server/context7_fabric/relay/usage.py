"""Notes on stderr about a start: what is misspelt, and what a start on a terminal waits for."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION_OPTIONS = ("--version", "-v", "-V")
_VALUED = ("--transport", "--port", "--host", "--api-key")
_OPTIONS = (*_VALUED, *VERSION_OPTIONS, "--help", "-h", "--")

PREFIX = "CONTEXT7_FABRIC_"
VARIABLES = (
    "BACKEND",
    "DAEMON",
    "DAEMON_IDLE",
    "DOCS_FRESH",
    "DOCS_STALE",
    "EXECUTIONS_KEEP",
    "EXECUTIONS_MOST",
    "HOME",
    "HOST",
    "HOSTS",
    "LIBRARY_TTL",
    "LOG_LEVEL",
    "META",
    "MODEL",
    "MODEL_PATH",
    "MONTHLY_CALLS",
    "NEGATIVE_TTL",
    "ORIGINS",
    "PATIENCE",
    "PRINCIPAL",
    "PROXIES",
    "QDRANT_API_KEY",
    "QDRANT_URL",
    "RATE",
    "REDACT",
    "SEED",
    "STALE_ON_ERROR",
    "TLS_CERT",
    "TLS_KEY",
    "TOKEN",
    "TOKENS_FILE",
    "TOOLS",
    "TRACE_CONTENT",
    "UPSTREAM",
    "UPSTREAM_TIMEOUT",
    "VALUE_LIMIT",
)
"""The variables there are, without the prefix that they share."""

_LONGEST = 60
_MOST = 5
_ON_A_TERMINAL = """\
context7-fabric: serving MCP on stdin and stdout for an editor; Ctrl-C ends it.
To set one up: `context7-fabric config CLIENT`. All commands: `--help`.
"""


def asks_to_serve(words: list[str]) -> bool:
    """Tell whether a command line starts a server."""
    return not words or words[0].startswith("-") or words[0] == "serve"


def asks_for_version(words: list[str]) -> bool:
    """Tell whether a command line that starts a server asks for the version instead."""
    return any(word in VERSION_OPTIONS for word in words)


def note_usage(words: list[str], environ: Mapping[str, str], *, on_stdio: bool) -> None:
    """Print notes on a command line and an environment; what is not known is ignored after that.

    `on_stdio` says that a client is waited for on standard input.
    """
    notes = [_variable_note(each) for each in unknown_variables(environ)]
    if asks_to_serve(words):
        notes += [_option_note(each) for each in _unknown_options(words)]
    if on_stdio and os.isatty(0):
        notes.append(_ON_A_TERMINAL)
    if notes and sys.stderr is not None:
        sys.stderr.write("".join(notes))
        sys.stderr.flush()


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return the variables of `environ` that have our prefix and are none of ours."""
    ours = (name for name in sorted(environ) if name.startswith(PREFIX))
    return [name for name in ours if name[len(PREFIX) :] not in VARIABLES][:_MOST]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a question for the one of `known` that `word` may be meant for, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word[:_LONGEST], list(known), 1, 0.7)
    return f": did you mean '{near[0]}'?" if near else ""


def _unknown_options(words: list[str]) -> list[str]:
    """Return the options of a command line that no server has, values left out."""
    unknown, is_value = list[str](), False
    for word in words:
        name, _, given = word.partition("=")
        if is_value or not word.startswith("-"):
            is_value = False
            continue
        is_value = name in _VALUED and not given
        if name not in _OPTIONS and name not in unknown:
            unknown.append(name)
    return unknown[:_MOST]


def _option_note(name: str) -> str:
    known = [each for each in _OPTIONS if each.startswith("--") and each != "--"]
    return _note("option", name, suggestion(name, known))


def _variable_note(name: str) -> str:
    hint = suggestion(name[len(PREFIX) :], VARIABLES).replace("'", f"'{PREFIX}", 1)
    return _note("variable", name, hint)


def _note(kind: str, name: str, hint: str) -> str:
    return f"context7-fabric: unknown {kind} {name[:_LONGEST]!a} is ignored{hint}\n"
