"""What the commands share: an open app for the length of one command, and JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from context7_fabric.app import App, open_app
from context7_fabric.cli.main import set_up_logging
from context7_fabric.settings import read_settings


def with_app(work: Callable[[App], Awaitable[int]]) -> int:
    """Run `work` with the app that the environment asks for; return its exit code."""
    settings = read_settings(os.environ)
    set_up_logging(settings.log_level)

    async def session() -> int:
        async with open_app(settings) as app:
            return await work(app)

    return anyio.run(session)


def print_json(value: Any) -> None:  # noqa: ANN401  # whatever JSON can say
    """Print `value` as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False), flush=True)
