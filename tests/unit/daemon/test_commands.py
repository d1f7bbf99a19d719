"""Requests of commands: only those that are listed call a method."""

from __future__ import annotations

import json

import pytest

from context7_fabric.call_log.feedback import Feedback
from context7_fabric.call_log.records import CallLog
from context7_fabric.daemon.commands import RecordCommands, reply_to
from context7_fabric.fabric.backends.memory import MemoryBackend
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import PUBLIC
from context7_fabric.settings.values import ExecutionSettings
from support.scripted import FakeClock


@pytest.mark.parametrize("command", ["_is_visible", "__init__", "requests", "resolve", ""])
async def test_request_for_a_method_that_is_not_listed_is_refused(command: str) -> None:
    clock = FakeClock()
    async with Fabric(MemoryBackend(), clock) as fabric:
        calls = CallLog(fabric, clock, str, ExecutionSettings())
        commands = RecordCommands(calls, Feedback(fabric, calls, clock, str, PUBLIC), PUBLIC)
        line = json.dumps({"command": command, "arguments": {}}).encode()
        reply = json.loads(await reply_to(commands, line))
    assert reply == {"error": f"unknown request {command!r}", "usage": False}
