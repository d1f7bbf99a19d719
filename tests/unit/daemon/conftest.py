"""A host at a door of its own, for tests of whom it serves and of its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.abc import TaskGroup

from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import identity
from support.house import House, let

LONG = 600.0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    environ = {"CONTEXT7_FABRIC_HOME": str(tmp_path)}
    own = identity(environ)
    door = Endpoint.of(str(tmp_path), own)
    with door.listen() as listener:
        yield House(door, listener, environ, own)


@pytest.fixture
async def served(house: House, tasks: TaskGroup) -> House:
    let(house, tasks, LONG)
    return house
