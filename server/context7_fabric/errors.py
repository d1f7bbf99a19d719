"""Errors of the package, one tree below `FabricError`; the text of each is one line for users."""

from __future__ import annotations

import math
from http import HTTPStatus


class FabricError(Exception):
    """Base of every error that this package raises on purpose."""


class SettingError(FabricError):
    """A setting, flag or variable cannot be used; `variable` is its name as the user wrote it."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        super().__init__(f"{variable}: {value!r} is not {expected}")
        self.variable = variable
        self.value = value
        self.expected = expected


class _FileError(FabricError):
    """A file cannot be used; `line` counts from 1, None if the error is not about one line."""

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        super().__init__(f"{path if line is None else f'{path}, line {line}'}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class SeedError(_FileError):
    """A seed file, or one row of it, cannot be used."""


class TokenFileError(_FileError):
    """A token file cannot be used, or does not take a change."""


class UnreadableProjectFile(_FileError):
    """A manifest or lock file of a project cannot be read."""


class UnusablePin(FabricError):
    """A pin cannot be kept, or does not count; `name` is that of its library."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the pin of {name!r} cannot be used: {reason}")
        self.name = name
        self.reason = reason


class PinFileError(_FileError):
    """A file of pins cannot be read or edited; it stays as it was."""


class UnknownPin(FabricError):
    """There is no pin of a name in the `files`; another file, `elsewhere`, may have one."""

    def __init__(self, name: str, files: tuple[str, ...], elsewhere: str | None) -> None:
        text = f"there is no pin of {name!r} in {' or '.join(files)}"
        if elsewhere is not None:
            text += f", but in {elsewhere}: remove it there"
        super().__init__(text)
        self.name, self.files, self.elsewhere = name, files, elsewhere


class NoProject(FabricError):
    """There is no project at a folder to keep a pin in."""

    def __init__(self, folder: str) -> None:
        why = "there is no manifest, lock file or repository" if folder else "pins are switched off"
        super().__init__(f"no project in {folder!r}: {why}; --user pins for every project")
        self.folder = folder


class DaemonAlreadyRunning(FabricError):
    """A daemon already serves the home under the same settings."""

    def __init__(self, home: str) -> None:
        super().__init__(f"a daemon serves {home} already: `context7-fabric daemon status`")


class PortError(FabricError):
    """The server can listen on no port of a range."""

    def __init__(self, host: str, first: int, last: int, reason: str) -> None:
        tried = f"no port from {first} to {last} on {host} can be used"
        super().__init__(f"{tried} ({reason}): --port names another")


class AccessDenied(FabricError):
    """An HTTP request has no access token, or an unknown one."""


class UnusableKey(FabricError):
    """The Context7 key of an HTTP request is malformed."""


class RateLimited(FabricError):
    """A client over HTTP has no request left for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many requests: the next one in {math.ceil(seconds)} s")
        self.seconds = seconds


class ArgumentError(FabricError):
    """Arguments of a tool call fail validation; the text is that of upstream."""

    def __init__(self, tool: str, problems: tuple[str, ...]) -> None:
        joined = ", ".join(problems)
        super().__init__(f"Input validation error: Invalid arguments for tool {tool}: {joined}")
        self.tool = tool
        self.problems = problems


class UnknownExecution(FabricError):
    """No record of a call has an id with this beginning, or several `candidates` have."""

    def __init__(self, beginning: str, candidates: tuple[str, ...] = ()) -> None:
        text = "there is no record of a call"
        if beginning:
            text = f"no record of a call has an id that begins with {beginning[:64]!r}"
        if candidates:
            text = (
                f"several calls have an id that begins with {beginning!r}: {', '.join(candidates)}"
            )
        super().__init__(text)
        self.candidates = candidates


class UnusableFeedback(FabricError, ValueError):
    """A rating is off the scale, or a text too long; nothing was stored."""


class NotOwner(FabricError):
    """The caller may not write a key."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key[:100]!r} cannot be written: {reason}")


class ContextError(FabricError, ValueError):
    """The fabric rejects a context; nothing was stored."""


class KeyTooLong(ContextError):
    """A key has more than `limit` characters."""

    def __init__(self, key: str, limit: int) -> None:
        super().__init__(f"a key has at most {limit} characters; {key[:40]!r}… has {len(key)}")
        self.key = key
        self.limit = limit


class ValueTooLarge(ContextError):
    """A value takes more bytes than `limit`, as JSON with its metadata."""

    def __init__(self, key: str, size: int, limit: int) -> None:
        super().__init__(
            f"the value of {key!r} takes {size:,} bytes, and {limit:,} are allowed"
            " (CONTEXT7_FABRIC_VALUE_LIMIT)"
        )
        self.key = key
        self.size = size
        self.limit = limit


class TooManyAuthored(ContextError):
    """The store holds `limit` authored entries already."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the store holds {limit:,} entries that are never evicted, which is all it may:"
            " delete some, or store with a ttl"
        )
        self.limit = limit


class TooMuchAuthored(ContextError):
    """The authored entries of a store would take more bytes than `limit`."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"entries that are never evicted would take {size:,} bytes, and {limit:,} are allowed:"
            " delete some, or store with a ttl"
        )
        self.size = size
        self.limit = limit


class StoreError(FabricError):
    """The fabric's backend failed."""


class CorruptEntry(StoreError):
    """A stored entry cannot be read; it counts as a miss."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"stored entry {key!r} cannot be read: {reason}")
        self.key = key
        self.reason = reason


class StoreClosed(StoreError):
    """The store was used after it was closed."""

    def __init__(self) -> None:
        super().__init__("the store is closed")


class StoreUnavailable(StoreError):
    """The medium refused an `operation` (get, put, delete, …)."""

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(f"store {operation} failed: {reason}")
        self.operation = operation
        self.reason = reason


class DocsetError(FabricError):
    """A docset cannot be made, found or read."""


class DamagedDocset(DocsetError):
    """A file is no docset that can be read; it is left aside until it is added again."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"the docset in {path!r} cannot be read: {' '.join(reason.split())}; add it again, or"
            " remove the file"
        )
        self.path = path
        self.reason = reason


class UnknownDocset(DocsetError):
    """No docset has a name, an id with or without `@version`; `held` are those that there are."""

    def __init__(self, name: str, held: tuple[str, ...]) -> None:
        there = f"there are {', '.join(held)}" if held else "`context7-fabric docsets` lists them"
        super().__init__(f"there is no docset {name[:200]!r}: {there}")
        self.name = name
        self.held = held


class EmptyDocset(DocsetError):
    """A source holds no documentation that can be read."""

    def __init__(self, source: str, left_out: int) -> None:
        super().__init__(
            f"{source!r} holds no documentation that can be read ({left_out:,} left out): name the"
            " folder of the documentation"
        )
        self.source = source


class DocsetsFull(DocsetError):
    """The docsets together would take `size` bytes, and may take `limit`."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the docsets would take {size / 2**20:,.0f} MiB, and {limit / 2**20:,.0f} are allowed:"
            " remove one (`context7-fabric docsets` lists them), or give --max-size"
        )
        self.size = size
        self.limit = limit


class DocsetNotWritten(DocsetError):
    """The file of a docset cannot be written or removed; the one before is unchanged."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"the docset {name!r} cannot be written: {' '.join(reason.split())}; nothing was"
            " changed: free space or correct the folder's mode, and run the command again"
        )
        self.name = name
        self.reason = reason


class SearchUnavailable(DocsetError):
    """This Python's SQLite was built without its full-text search, FTS5."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"docsets need SQLite with FTS5, and SQLite {version} of this Python has none: run"
            " context7-fabric with another Python"
        )
        self.version = version


class DocsetSourceError(FabricError):
    """Documentation cannot be taken from a `source`; `remedy` says what to do.

    `source` is shown without credentials; each text is one line.
    """

    def __init__(self, source: str, reason: str, remedy: str) -> None:
        super().__init__(f"{source!r} cannot be read: {reason}: {remedy}")
        self.source = source
        self.reason = reason
        self.remedy = remedy


class UnusableSource(DocsetSourceError):
    """A text names no source, or names it in a form that is not allowed."""


class SourceNotFound(DocsetSourceError):
    """There is nothing at a source, or no documentation in it."""


class SourceRefused(DocsetSourceError):
    """A source is not safe to read: its host, its address or a redirect."""


class SourceTooLarge(DocsetSourceError):
    """A source exceeds a bound of size, number or time."""


class SourceUnavailable(DocsetSourceError):
    """A source cannot be reached now, or a program that reads it is missing."""


class UpstreamError(FabricError):
    """Context7 gave no answer."""


class UpstreamOff(UpstreamError):
    """Upstream is switched off by a setting."""

    def __init__(self) -> None:
        super().__init__("upstream is switched off (CONTEXT7_FABRIC_UPSTREAM=off)")


class UpstreamUnreachable(UpstreamError):
    """A connection broke, or with `connecting` was never made; `target` has no credential."""

    def __init__(self, target: str, reason: str, *, connecting: bool = False) -> None:
        super().__init__(f"Context7 at {target} cannot be reached: {reason.rstrip('.')}")
        self.reason = reason
        self.connecting = connecting


class UpstreamTimeout(UpstreamError):
    """Upstream took longer than `seconds`."""

    def __init__(self, target: str, seconds: float) -> None:
        super().__init__(f"Context7 at {target} did not answer within {seconds:g} s")


class UpstreamSlow(UpstreamError):
    """The wait for upstream ended after `seconds`, as there is another answer; the call goes on."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Context7 has not answered within {seconds:g} s")


class UpstreamPaused(UpstreamError):
    """No call goes out for `seconds` more."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(
            f"Context7 is not asked for another {_rounded_up(seconds)}: {why.rstrip('.')}"
        )
        self.seconds = seconds
        self.why = why


class UpstreamCallsSpent(UpstreamError):
    """The calls that one command may make are spent."""

    def __init__(self) -> None:
        super().__init__("the calls that this command may make are spent")


class UpstreamLimited(UpstreamError):
    """Upstream's HTTP server limits calls; `seconds` is its Retry-After."""

    def __init__(self, target: str, seconds: float | None, status: int | None = None) -> None:
        status = status or HTTPStatus.TOO_MANY_REQUESTS
        super().__init__(f"Context7 at {target} limits the calls ({status})")
        self.seconds = seconds


class UpstreamRejected(UpstreamError):
    """Upstream answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UpstreamUnreadable(UpstreamError):
    """Upstream's answer is no MCP message, and cannot be repaired."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"the reply of Context7 at {target} could not be read: {reason}")


def _rounded_up(seconds: float) -> str:
    """Return a wait in large units, never shorter than it is."""
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds > 2 * size:
            return f"{math.ceil(seconds / size)} {name}"
    return f"{max(1, math.ceil(seconds))} s"
