"""Table of the commands: group, summary, function and examples of each."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_PROGRAM = "context7-fabric"

GROUPS: Final = {
    "Set up": {
        "setup": "write the entry into the files of MCP clients, or take it back",
        "config": "print the configuration entry for a client",
        "model": "download or check the embedding model",
        "completion": "print the completion script of a shell",
        "demo": "demonstrate the cache, without a network",
    },
    "Ask": {
        "resolve": "look up library names",
        "docs": "ask a library's documentation",
        "why": "explain an answer step by step",
        "feedback": "rate an answer",
        "context": "read and write stored contexts",
    },
    "Hold": {
        "warm": "hold the documentation of what a project depends on",
        "add": "hold a library's own documentation here",
        "docsets": "list or refresh the documentation held here",
        "remove": "remove a docset",
        "pin": "choose the library or version that a name means",
        "index": "resolve the seed libraries ahead of time",
    },
    "Look after": {
        "doctor": "check the installation, and mend it",
        "stats": "show calls made and saved, the quota, and totals of the records",
        "daemon": "show, stop or run the shared daemon",
        "purge": "delete stored answers",
    },
    "Serve": {
        "serve": "serve MCP on stdio, HTTP or SSE (the default)",
        "token": "add, list and revoke access tokens of a server",
    },
}
"""Summary of each command, by the group in which the help lists it.

Its module in this package has the same name, or is in `RUNS`.
"""

COMMANDS: Final = {name: what for group in GROUPS.values() for name, what in group.items()}
"""Summary of each command."""

RUNS: Final = {"remove": ("docsets", "run_remove")}
"""Module and function of a command that shares its module with another one."""

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "setup": ("setup cursor --dry-run", "setup --all --yes"),
    "config": ("config cursor", "config claude-code"),
    "model fetch": ("model fetch",),
    "model status": ("model status --json",),
    "completion": (
        "completion bash >> ~/.bashrc",
        "completion fish > ~/.config/fish/conf.d/c7.fish",
    ),
    "demo": ("demo", "demo --live"),
    "resolve": ("resolve fastapi", "resolve --json next.js vue"),
    "docs": ("docs fastapi how to upload a file", "docs /vercel/next.js routing"),
    "why": ("why", "why 1a2b3c4d"),
    "feedback": ("feedback 1a2b3c4d --rating 4", 'feedback 1a2b3c4d --rating 1 --comment "old"'),
    "context get": ("context get notes", "context get notes --scope USER"),
    "context set": ("context set notes 'a text'", "context set notes - --ttl 1d"),
    "context list": ("context list", "context list --json --all"),
    "context search": ("context search deployment --limit 3",),
    "context delete": ("context delete notes",),
    "warm": ("warm --dry-run", "warm . --max-calls 20 --yes"),
    "add": (
        "add fastapi",
        "add git+https://github.com/pallets/flask --path docs",
        "add --python numpy",
    ),
    "docsets": ("docsets", "docsets refresh /pallets/flask"),
    "remove": ("remove /pallets/flask@3.1",),
    "pin": ("pin next.js /vercel/next.js/v15.1.8", "pin --list"),
    "index": ("index --dry-run", "index --category web-frameworks --yes"),
    "doctor": ("doctor", "doctor --fix", "doctor --report"),
    "stats": ("stats", "stats --since 7d --json"),
    "daemon status": ("daemon status",),
    "daemon stop": ("daemon stop",),
    "daemon logs": ("daemon logs --lines 20", "daemon logs --follow"),
    "daemon run": ("daemon run",),
    "purge": ("purge --library /vercel/next.js", "purge --all"),
    "serve": ("serve", "serve --transport http --port 3000"),
    "token add": ("token add ann",),
    "token list": ("token list --json",),
    "token revoke": ("token revoke ann",),
}
"""Lines without the program's name, by command and subcommand; each is parsed by a test."""


def examples_of(prog: str) -> list[str]:
    """Return the example lines of a command, or of its subcommands, two at most of each.

    `prog` is the program's name and the command.
    """
    name = prog.removeprefix(_PROGRAM).strip()
    found = EXAMPLES.get(name, ())
    if not found:
        found = tuple(each[0] for of, each in EXAMPLES.items() if of.startswith(f"{name} "))[:2]
    return [f"{_PROGRAM} {line}" for line in found]
