"""Examples of the commands, which end their help; one row a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_PROGRAM = "context7-fabric"

EXAMPLES: Mapping[str, Sequence[str]] = {
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
    ),
    "docsets": ("docsets", "docsets refresh /pallets/flask"),
    "remove": ("remove /pallets/flask@3.1",),
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
        found = [lines[0] for each, lines in EXAMPLES.items() if each.startswith(f"{name} ")][:2]
    return [f"{_PROGRAM} {line}" for line in found]
