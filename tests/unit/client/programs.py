"""Resolvers and clients for the tests of the Python client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from context7_fabric.client import Context7CacheClient
from context7_fabric.runtime.app import App
from support.scripted import FakeClock, ScriptedUpstream, scripted_app

LANGGRAPH = "/langchain-ai/langgraph"
PYDANTIC = "/pydantic/pydantic"
REDIS = "/redis/redis-py"
WIDGET = "/widgets/widget1"
DAY = 86400.0


class Asked:
    """Resolver that returns `answer` and records the names."""

    def __init__(self, answer: str | None = WIDGET) -> None:
        self.answer = answer
        self.names: list[str] = []

    def __call__(self, name: str) -> str | None:
        self.names.append(name)
        return self.answer

    async def later(self, name: str) -> str | None:
        await anyio.lowlevel.checkpoint()
        return self(name)


@asynccontextmanager
async def server(home: Path, clock: FakeClock) -> AsyncGenerator[App]:
    """Open the server's app on `home`, its registry loaded."""
    async with scripted_app(ScriptedUpstream(), clock, home, MODEL="off") as app:
        await app.services.registry.loaded.wait()
        yield app


def is_untouched(home: Path) -> bool:
    """Tell whether the folder does not exist."""
    return not home.exists()


async def learned(clock: FakeClock, name: str, answer: str | None = WIDGET) -> str | None:
    """Look `name` up by a new client with a resolver."""
    async with Context7CacheClient(None, Asked(answer), clock=clock) as cache:
        return await cache.get_library_id(name)


async def known(clock: FakeClock, name: str) -> str | None:
    """Look `name` up by a new client without a resolver."""
    async with Context7CacheClient(clock=clock) as cache:
        return await cache.get_library_id(name)
