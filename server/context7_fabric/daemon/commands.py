"""Requests of the command line: `why` and `feedback`, and one JSON object a request and a reply.

The daemon answers them over its socket; a command that has no daemon calls the same methods. An
app is not imported here: in-process, these two commands open the store alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from context7_fabric.call_log.feedback import Feedback
from context7_fabric.call_log.records import CallLog
from context7_fabric.errors import FabricError, SettingError, UnknownExecution, UnusableFeedback
from context7_fabric.fabric.context import Context
from context7_fabric.models import PUBLIC, Viewer
from context7_fabric.version import __version__
from context7_fabric.views.visibility import is_visible


class RecordCommands:
    """`why` and `feedback`, which need the records of calls alone."""

    requests: ClassVar[frozenset[str]] = frozenset({"why", "feedback"})
    """Names of the methods that a request may call."""

    def __init__(
        self, calls: CallLog, feedback: Feedback, principal: str, *, sees_all: bool = False
    ) -> None:
        """Read the records in `calls` that `principal` may see.

        With `sees_all`, `why` shows every record to a shell without a key: the store is a file of
        the one who asks, and an editor's calls have the key of its own configuration.
        """
        self._calls = calls
        self._feedback = feedback
        self._principal = principal
        self._sees_all = sees_all and principal == PUBLIC

    async def why(self, execution: str) -> dict[str, Any] | None:
        """Return the record whose id begins with `execution`, the newest for ""; None without any.

        Raises:
            UnknownExecution: As `CallLog.find`.
            StoreError: As `CallLog.find`.
        """
        try:
            record = await self._calls.find(execution, self._is_visible)
        except UnknownExecution:
            if execution:
                raise
            return None
        feedback = await self._feedback.of(record)
        score = record.automated.score
        return {"version": __version__, **asdict(record), "score": score, "feedback": feedback}

    async def feedback(
        self, execution: str, rating: int, comment: str | None, correction: str | None
    ) -> str:
        """Rate a call; return the effect in one line.

        Raises:
            FabricError: As `Feedback.give`.
        """
        return (await self._feedback.give(execution, rating, comment, correction)).summary

    def _is_visible(self, context: Context) -> bool:
        return self._sees_all or is_visible(context, Viewer(self._principal))


async def reply_to(commands: RecordCommands, line: bytes) -> bytes:
    """Return the reply to the request on `line`, without its end of line.

    An error that a user can understand is a reply too: its text, and whether the usage was wrong.
    """
    request = json.loads(line)
    try:
        result = await call(commands, request["command"], request["arguments"])
    except FabricError as error:
        is_usage = isinstance(error, SettingError | UnusableFeedback)
        return json.dumps({"error": str(error), "usage": is_usage}).encode()
    return json.dumps({"result": result}).encode()


async def call(commands: RecordCommands, command: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401  # as JSON says it
    """Return the result of one command.

    Raises:
        FabricError: The command is unknown, or fails for a reason of the user's or the store's.
    """
    if command not in commands.requests:
        raise FabricError(f"unknown request {command!r}")
    return await getattr(commands, command)(**arguments)
