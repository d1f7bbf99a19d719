"""Command lines that start Context7's server, and their parts that a new entry needs. Pure.

Runners and forms: upstash/context7, `docs/resources/all-clients.mdx` and its README (2026-09).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final
from urllib.parse import urlsplit


class EntryForm(StrEnum):
    """Way in which an entry reaches Context7."""

    PACKAGE = "package"
    """A package runner fetches and starts Context7's server."""
    PROGRAM = "program"
    """An installed copy of Context7's server is started."""
    CONTAINER = "container"
    URL = "url"
    BRIDGE = "bridge"
    """A program on stdio connects to Context7's URL."""
    EXTENSION = "extension"
    """An extension of the client's brings the server; the entry has its settings only."""
    OURS = "ours"


@dataclass(frozen=True)
class Launch:
    """Parts of a command line that starts Context7's server or ours.

    `key` is the value of `--api-key`; `headers` are a bridge's; `env` comes from the line itself;
    `passed` are names of variables that reach a container from the client's environment.
    `obstacle` is the reason why the line cannot be replaced by another.
    """

    form: EntryForm
    key: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    obstacle: str | None = None


@dataclass(frozen=True)
class _Runner:
    """Program that starts another one: words before the other's name that belong to itself."""

    subcommands: frozenset[str] = frozenset()
    valued: frozenset[str] = frozenset()


_NPM_VALUED = frozenset(
    {"-p", "--package", "--registry", "--cache", "--prefix", "--userconfig", "-w", "--workspace"}
)
_CONTAINER_VALUED = frozenset(
    {"-e", "--env", "--env-file", "-v", "--volume", "--mount", "--name", "--network", "--net",
     "-p", "--publish", "-w", "--workdir", "-u", "--user", "-h", "--hostname", "--add-host",
     "-l", "--label", "--platform", "--pull", "-m", "--memory", "--cpus", "--entrypoint", "--dns",
     "--gpus", "--log-driver", "--restart", "--security-opt", "--cap-add", "--cap-drop",
     "--tmpfs", "--ulimit", "--shm-size", "--runtime", "--ipc", "--pid", "--userns", "-c",
     "--context", "-H", "--host"}
)  # fmt: skip
_NODE_VALUED = frozenset({"-r", "--require", "--import", "--loader", "--env-file", "--tsconfig"})
_PYTHON_VALUED = frozenset(
    {"--from", "--with", "--spec", "-p", "--python", "--index", "--index-url", "-i", "--project",
     "--directory", "--extra-index-url", "--default-index", "--with-editable", "-X", "-W"}
)  # fmt: skip
_PACKAGE_RUNNERS: Final[Mapping[str, _Runner]] = {
    "npx": _Runner(valued=_NPM_VALUED),
    "npm": _Runner(frozenset({"exec", "x"}), _NPM_VALUED),
    "pnpx": _Runner(valued=_NPM_VALUED),
    "pnpm": _Runner(frozenset({"dlx", "exec"}), _NPM_VALUED),
    "yarn": _Runner(frozenset({"dlx", "exec"}), _NPM_VALUED),
    "bunx": _Runner(valued=_NPM_VALUED),
    "bun": _Runner(frozenset({"x", "run"}), _NPM_VALUED | {"--env-file"}),
    "deno": _Runner(frozenset({"run"}), frozenset({"-c", "--config", "--env-file", "--cert"})),
    "node": _Runner(valued=_NODE_VALUED),
    "tsx": _Runner(valued=_NODE_VALUED),
    "uvx": _Runner(valued=_PYTHON_VALUED),
    "uv": _Runner(frozenset({"tool", "run", "x"}), _PYTHON_VALUED),
    "pipx": _Runner(frozenset({"run"}), _PYTHON_VALUED),
    "python": _Runner(valued=_PYTHON_VALUED - {"-p", "-i"}),
}
_CONTAINER_RUNNERS: Final = frozenset({"docker", "podman", "nerdctl"})
_CONTAINER: Final = _Runner(frozenset({"container", "run"}), _CONTAINER_VALUED)
_SHELLS: Final = frozenset({"sh", "bash", "zsh", "dash", "ksh", "fish"})

_PACKAGE = re.compile(r"(?:npm:/?)?@upstash/context7-mcp(?:@[^\s/]*)?")
_PROGRAM = re.compile(r"context7-mcp")
_SCRIPT = re.compile(
    r"(?:.*[\\/])?context7(?:-mcp)?[\\/](?:.*[\\/])?(?:dist|build|src)[\\/](?:.*[\\/])?index\.[cm]?[jt]s",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"(?:[\w.:-]+/)*context7(?:-mcp)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?")
_OURS = re.compile(r"context7[-_]fabric(?:\[[\w,-]*\])?(?:(?:@|==)[\w.]*)?")
_BRIDGE = re.compile(r"mcp-remote(?:@[^\s/]*)?")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SUFFIX = re.compile(r"\.(?:exe|cmd|bat|ps1)$")
_VERSION = re.compile(r"(?<=^python)[\d.]+$")
_SHELL_SIGNS = re.compile(r"[;&|<>$`(){}\n*?\\]|~")
_MENTION = re.compile(r"@upstash/context7-mcp\b|//mcp\.context7\.com\b")
_SMITHERY = "smithery"
_MOST_WRAPPERS: Final = 4


def read_launch(words: Sequence[str], *, named: bool) -> Launch | None:
    """Return the parts of a command line that starts Context7's server or ours, else None.

    Args:
        words: Program and arguments.
        named: Whether the entry has Context7's name; only then is a script in a folder
            `context7` taken for its server.
    """
    inner, env, obstacle = _unwrapped(list(words))
    launch = _read(inner, named=named) if inner else None
    if launch is None:
        reason = obstacle or f"it is started through {_launcher(inner)!r}"
        mentioned = _mentions(words, named=named)
        return Launch(EntryForm.PACKAGE, obstacle=reason) if mentioned else None
    return replace(launch, env={**env, **launch.env}, obstacle=obstacle or launch.obstacle)


def is_context7_url(url: str) -> bool:
    """Return whether `url` is the address of Context7's own MCP server, by OAuth or not."""
    host, path = _parts(url)
    return host == "mcp.context7.com" or (host == "context7.com" and path.startswith("/mcp"))


def is_hosted_elsewhere(url: str) -> bool:
    """Return whether `url` is an address at which another company runs Context7's server."""
    host, path = _parts(url)
    return _SMITHERY in host and "context7-mcp" in path


def signs_in(url: str) -> bool:
    """Return whether `url` is Context7's address for OAuth, which takes no key."""
    return _parts(url)[1].rstrip("/").endswith("/oauth")


def _parts(url: str) -> tuple[str, str]:
    """Return host and path of `url` in lower case, both empty if it cannot be read."""
    try:
        parts = urlsplit(url.strip())
        return (parts.hostname or "").lower(), parts.path.lower()
    except ValueError:
        return "", ""


def _read(words: list[str], *, named: bool) -> Launch | None:
    """Return the parts of a command line without wrappers."""
    head = _program(words[0])
    if _OURS.fullmatch(head):
        return Launch(EntryForm.OURS, key=_api_key(words[1:]))
    if _PROGRAM.fullmatch(head) and "@upstash/" not in words[0]:
        return Launch(EntryForm.PROGRAM, key=_api_key(words[1:]))
    if head in _CONTAINER_RUNNERS:
        return _read_container(words)
    runner = _PACKAGE_RUNNERS.get(_VERSION.sub("", head))
    if runner is None:
        return None
    at = _started_at(words, runner)
    return None if at is None else _read_started(words, at, named=named)


def _read_started(words: list[str], at: int, *, named: bool) -> Launch | None:
    """Return the parts of a line whose runner starts the word at `at`."""
    started, rest = words[at], words[at + 1 :]
    obstacle = _env_file(words[:at])
    if _OURS.fullmatch(started):
        return Launch(EntryForm.OURS, key=_api_key(rest), obstacle=obstacle)
    if _PACKAGE.fullmatch(started) or _PROGRAM.fullmatch(_program(started)):
        return Launch(EntryForm.PACKAGE, key=_api_key(rest), obstacle=obstacle)
    if _SCRIPT.fullmatch(started) and (named or "@upstash" in started):
        return Launch(EntryForm.PROGRAM, key=_api_key(rest), obstacle=obstacle)
    if _BRIDGE.fullmatch(started):
        return _read_bridge(rest)
    return None


def _read_bridge(rest: list[str]) -> Launch | None:
    """Return the parts of what follows `mcp-remote`: a URL, and `--header NAME:VALUE`."""
    url = next((word for word in rest if is_context7_url(word)), None)
    if url is None:
        return None
    pairs = (text.partition(":") for text in _values(rest, ("--header", "-H")))
    headers = {name.strip(): value.strip() for name, _, value in pairs}
    return Launch(EntryForm.BRIDGE, url=url, headers=headers)


def _read_container(words: list[str]) -> Launch | None:
    """Return the parts of `docker run … IMAGE …`, or of a package runner inside a container."""
    at = _started_at(words, _CONTAINER)
    if at is None or "run" not in words[1:at]:
        return None
    options, started = words[1:at], words[at:]
    package = next((i for i, word in enumerate(started) if _PACKAGE.fullmatch(word)), None)
    if package is None and not _IMAGE.fullmatch(started[0]):
        return None
    env: dict[str, str] = {}
    passed = []
    for text in _values(options, ("-e", "--env")):
        name, sign, value = text.partition("=")
        if sign:
            env[name] = value
        else:
            passed.append(name)
    key = _api_key(started[(package or 0) + 1 :])
    obstacle = _env_file(options)
    return Launch(EntryForm.CONTAINER, key, env=env, passed=tuple(passed), obstacle=obstacle)


def _started_at(words: list[str], runner: _Runner) -> int | None:
    """Return the place of the first word that is neither option, value nor subcommand."""
    at = 1
    while at < len(words):
        word = words[at]
        if word in runner.valued:
            at += 2
        elif word.startswith("-") or word in runner.subcommands:
            at += 1
        else:
            return at
    return None


def _env_file(options: list[str]) -> str | None:
    """Return the reason that a file of variables among `options` is, else None."""
    found = next(_values(options, ("--env-file",)), None)
    return None if found is None else f"its variables come from the file {found!r}"


def _api_key(words: list[str]) -> str | None:
    """Return the last value of `--api-key`, the one that counts."""
    found = list(_values(words, ("--api-key",)))
    return found[-1] if found else None


def _values(words: Sequence[str], names: tuple[str, ...]) -> Iterator[str]:
    """Yield the values of the options `names`, in the forms `-o V`, `--o V` and `--o=V`."""
    for at, word in enumerate(words):
        name, sign, value = word.partition("=")
        if sign and name in names:
            yield value
        elif word in names and at + 1 < len(words):
            yield words[at + 1]


def _unwrapped(words: list[str]) -> tuple[list[str], dict[str, str], str | None]:
    """Return a command line without `cmd /c`, `env` and shells, its variables, and an obstacle."""
    env: dict[str, str] = {}
    for _ in range(_MOST_WRAPPERS):
        head = _program(words[0]) if words else ""
        if head == "cmd":
            words = _after_cmd(words)
        elif head == "env":
            words = _after_env(words, env)
        elif head in _SHELLS:
            script = _script(words)
            if _SHELL_SIGNS.search(script):
                return [], env, f"it is a script for {head!r}"
            words = _split(script)
        elif words and " " in words[0] and _program(_split(words[0])[0]) in _PACKAGE_RUNNERS:
            words = [*_split(words[0]), *words[1:]]
        else:
            break
    return words, env, None


def _after_cmd(words: list[str]) -> list[str]:
    """Return the words after `cmd /c`, split if they are one text."""
    at = next((i for i, word in enumerate(words) if word.lower() in ("/c", "/k")), len(words) - 1)
    rest = words[at + 1 :]
    return _split(rest[0]) if len(rest) == 1 else rest


def _after_env(words: list[str], env: dict[str, str]) -> list[str]:
    """Return the words after `env` and its assignments, which go to `env`."""
    for at, word in enumerate(words[1:], 1):
        assignment = _ASSIGNMENT.fullmatch(word)
        if assignment:
            env[assignment[1]] = assignment[2]
        elif not word.startswith("-"):
            return words[at:]
    return []


def _script(words: list[str]) -> str:
    """Return the text that a shell runs by `-c`, also by `-lc`."""
    pairs = pairwise(words)
    return next((text for option, text in pairs if re.fullmatch(r"-[a-z]*c", option)), "")


def _split(text: str) -> list[str]:
    """Return the words of a command line, or the text as one word if its quotes are open."""
    try:
        return shlex.split(text.replace("\\", "\\\\")) or [text]
    except ValueError:
        return [text]


def _program(word: str) -> str:
    """Return a program's name in lower case, without folder and suffix."""
    return _SUFFIX.sub("", re.split(r"[\\/]", word)[-1].lower())


def _mentions(words: Sequence[str], *, named: bool) -> bool:
    """Return whether a line that cannot be read starts Context7's server all the same."""
    strong = any(_MENTION.search(word) for word in words)
    return strong or (named and any("context7-mcp" in word for word in words))


def _launcher(words: list[str]) -> str:
    """Return the program that a command line starts, for messages."""
    head = _program(words[0]) if words else ""
    runner = _PACKAGE_RUNNERS.get(_VERSION.sub("", head))
    at = None if runner is None else _started_at(words, runner)
    return head if at is None else words[at]
