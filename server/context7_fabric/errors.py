"""The errors of the package, one small tree: each carries fields, its text is one line for users.

FabricError
├── SettingError            a setting, flag or variable that cannot be used
├── SeedError               a seed file that cannot be used
├── PortError               nowhere to listen
├── DaemonRuns              a daemon serves there already
├── TokenFileError          a file of tokens that is none, or does not take a change
├── NotLetIn                a request over HTTP without a token that is known here
├── UnusableKey             a request over HTTP with a Context7 key that is none
├── RateLimited             a request over HTTP too many
├── ArgumentError           arguments of a tool call that fail validation
├── UnknownExecution        no record of a call, or several, by an id
├── UnusableFeedback        a rating off the scale, or a text too long
├── NotYours                a key that is not the caller's to write
├── ContextError            a context that the fabric does not take
│   ├── KeyTooLong          its key has too many characters
│   ├── ValueTooLarge       its value has too many bytes
│   ├── TooManyAuthored     there are too many that nothing may evict
│   └── TooMuchAuthored     those that nothing may evict take too many bytes
├── StoreError              the fabric's backend failed
│   ├── CorruptEntry        a stored entry that cannot be read
│   ├── StoreClosed         used after it was closed
│   └── StoreUnavailable    the medium said no (disk full, no permission, …)
└── UpstreamError           Context7 gave no answer
    ├── UpstreamOff         it is switched off
    ├── UpstreamUnreachable no connection, or it broke
    ├── UpstreamTimeout     it took too long
    ├── UpstreamDawdles     something else is at hand, and it is not waited for longer
    ├── UpstreamPaused      it asked to be left alone, or failed too often
    ├── UpstreamLimited     it answered 429 or 402 at the door
    ├── UpstreamRejected    it answered with a protocol error
    └── UpstreamUnreadable  its answer cannot be read
"""

from __future__ import annotations

import math
from http import HTTPStatus


class FabricError(Exception):
    """Base of every error this package raises on purpose."""


class SettingError(FabricError):
    """A setting cannot be used; `variable` names it as the user wrote it."""

    def __init__(self, variable: str, value: str, expected: str) -> None:
        """Keep the name of the setting, the value given and what would be right."""
        super().__init__(f"{variable}: {value!r} is not {expected}")
        self.variable = variable
        self.value = value
        self.expected = expected


class SeedError(FabricError):
    """A seed file cannot be used; `line` is 1-based, or None when it is not about one line."""

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        """Keep the place and the reason."""
        where = path if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class DaemonAlreadyRunning(FabricError):
    """A daemon serves `home` already, under the same settings."""

    def __init__(self, home: str) -> None:
        """Keep the place."""
        super().__init__(f"a daemon serves {home} already: `context7-fabric daemon status`")
        self.home = home


class TokenFileError(FabricError):
    """A token file cannot be used, or not in this way; `line` is as for `SeedError`."""

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        """Keep the place and the reason."""
        where = path if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class AccessDenied(FabricError):
    """A request has no token, or one that nobody here has."""


class UnusableKey(FabricError):
    """A request bears a Context7 key that cannot be one."""


class RateLimited(FabricError):
    """A visitor has no request left for `seconds`."""

    def __init__(self, seconds: float) -> None:
        """Keep how long."""
        super().__init__(f"too many requests: the next one in {math.ceil(seconds)} s")
        self.seconds = seconds


class ArgumentError(FabricError):
    """A tool call's arguments fail validation; the text is worded as upstream words it."""

    def __init__(self, tool: str, problems: tuple[str, ...]) -> None:
        """Keep the tool's name and one `argument: problem` a fault."""
        joined = ", ".join(problems)
        super().__init__(f"Input validation error: Invalid arguments for tool {tool}: {joined}")
        self.tool = tool
        self.problems = problems


class PortError(FabricError):
    """No port of a range can be listened on."""

    def __init__(self, host: str, first: int, last: int, reason: str) -> None:
        """Keep where it was tried, and why the last try failed."""
        tried = f"no port from {first} to {last} on {host} can be had"
        super().__init__(f"{tried} ({reason}): --port names another")
        self.host = host
        self.first = first
        self.last = last


class UnknownExecution(FabricError):
    """No record of a call can be told by the beginning of an id: none begins so, or several."""

    def __init__(self, beginning: str, candidates: tuple[str, ...] = ()) -> None:
        """Keep what was looked for, and the ids of some that begin so."""
        told = "there is no record of a call"
        if beginning:
            told = f"no record of a call has an id that begins with {beginning[:64]!r}"
        if candidates:
            told = (
                f"several calls have an id that begins with {beginning!r}: {', '.join(candidates)}"
            )
        super().__init__(told)
        self.beginning = beginning
        self.candidates = candidates


class UnusableFeedback(FabricError, ValueError):
    """A rating is not on the scale, or a text is too long; nothing was stored."""


class NotOwner(FabricError):
    """A key that only this program writes, or somebody else."""

    def __init__(self, key: str, reason: str) -> None:
        """Keep the key and why it cannot be written."""
        super().__init__(f"{key[:100]!r} cannot be written: {reason}")
        self.key = key
        self.reason = reason


class ContextError(FabricError, ValueError):
    """The fabric does not take a context; nothing was stored."""


class KeyTooLong(ContextError):
    """A key has too many characters."""

    def __init__(self, key: str, limit: int) -> None:
        """Keep the key and how many characters there may be."""
        super().__init__(f"a key has at most {limit} characters; {key[:40]!r}… has {len(key)}")
        self.key = key
        self.limit = limit


class ValueTooLarge(ContextError):
    """A value has too many bytes, as JSON with its metadata."""

    def __init__(self, key: str, size: int, limit: int) -> None:
        """Keep the entry's key, its size and how large it may be, both in bytes."""
        super().__init__(
            f"the value of {key!r} takes {size:,} bytes, and {limit:,} are allowed"
            " (CONTEXT7_FABRIC_VALUE_LIMIT)"
        )
        self.key = key
        self.size = size
        self.limit = limit


class TooManyAuthored(ContextError):
    """The store holds as many authored entries as it may."""

    def __init__(self, limit: int) -> None:
        """Keep how many there may be."""
        super().__init__(
            f"the store holds {limit:,} entries that are never evicted, which is all it may:"
            " delete some, or store with a ttl"
        )
        self.limit = limit


class TooMuchAuthored(ContextError):
    """The authored entries of a store would take more bytes than they may."""

    def __init__(self, size: int, limit: int) -> None:
        """Keep how many bytes they would take, and how many they may."""
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
        """Keep the entry's key and what is wrong with it."""
        super().__init__(f"stored entry {key!r} cannot be read: {reason}")
        self.key = key
        self.reason = reason


class StoreClosed(StoreError):
    """The store was used after it was closed."""

    def __init__(self) -> None:
        """Take nothing: there is only one way to get here."""
        super().__init__("the store is closed")


class StoreUnavailable(StoreError):
    """The medium refused an operation."""

    def __init__(self, operation: str, reason: str) -> None:
        """Keep the operation's name (get, put, delete, …) and the medium's reason."""
        super().__init__(f"store {operation} failed: {reason}")
        self.operation = operation
        self.reason = reason


class UpstreamError(FabricError):
    """Context7 gave no answer."""


class UpstreamOff(UpstreamError):
    """Upstream is switched off by a setting."""

    def __init__(self) -> None:
        """Take nothing: the setting says it all."""
        super().__init__("upstream is switched off (CONTEXT7_FABRIC_UPSTREAM=off)")


class UpstreamUnreachable(UpstreamError):
    """No connection could be made, or it broke; `target` carries no credential."""

    def __init__(self, target: str, reason: str, *, connecting: bool = False) -> None:
        """Keep where the connection should have gone, and why it did not.

        `connecting` says that none could be made at all.
        """
        super().__init__(f"Context7 at {target} cannot be reached: {reason.rstrip('.')}")
        self.target = target
        self.reason = reason
        self.connecting = connecting


class UpstreamTimeout(UpstreamError):
    """Upstream took longer than `seconds`."""

    def __init__(self, target: str, seconds: float) -> None:
        """Keep where the call went and how long it was waited for."""
        super().__init__(f"Context7 at {target} did not answer within {seconds:g} s")
        self.target = target
        self.seconds = seconds


class UpstreamSlow(UpstreamError):
    """Upstream is not waited for any longer, because there is another answer; the call goes on."""

    def __init__(self, seconds: float) -> None:
        """Keep how long it was waited for."""
        super().__init__(f"Context7 has not answered within {seconds:g} s")
        self.seconds = seconds


class UpstreamPaused(UpstreamError):
    """No call goes out for `seconds` more."""

    def __init__(self, seconds: float, why: str) -> None:
        """Keep how long, and the reason."""
        told = f"Context7 is not asked for another {_rounded_up(seconds)}: {why.rstrip('.')}"
        super().__init__(told)
        self.seconds = seconds
        self.why = why


class UpstreamLimited(UpstreamError):
    """The HTTP server in front of upstream limits calls; `seconds` is its Retry-After, if any."""

    def __init__(self, target: str, seconds: float | None, status: int | None = None) -> None:
        """Keep where the call went and how long upstream wants to be left alone.

        `status` is 429 if no other is known.
        """
        status = status or HTTPStatus.TOO_MANY_REQUESTS
        super().__init__(f"Context7 at {target} limits the calls ({status})")
        self.target = target
        self.seconds = seconds


class UpstreamRejected(UpstreamError):
    """Upstream answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        """Keep the error's code and message."""
        super().__init__(message)
        self.code = code
        self.message = message


class UpstreamUnreadable(UpstreamError):
    """Upstream's answer is no message of MCP, and cannot be mended."""

    def __init__(self, target: str, reason: str) -> None:
        """Keep where the answer came from, and what is wrong with it."""
        super().__init__(f"the reply of Context7 at {target} could not be read: {reason}")
        self.target = target
        self.reason = reason


def _rounded_up(seconds: float) -> str:
    """Return a wait as people read it, never shorter than it is."""
    for size, name in ((3600, "hours"), (60, "minutes")):
        if seconds > 2 * size:
            return f"{math.ceil(seconds / size)} {name}"
    return f"{max(1, math.ceil(seconds))} s"
