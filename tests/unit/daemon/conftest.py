"""A host at a endpoint of its own, for tests of whom it serves and of its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.abc import TaskGroup

from context7_fabric.relay.endpoint import Endpoint
from context7_fabric.relay.handshake import identity
from support.local_daemon import LocalDaemon, start

LONG = 600.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[LocalDaemon]:
    environ = {"CONTEXT7_FABRIC_HOME": str(tmp_path)}
    own = identity(environ)
    endpoint = Endpoint.of(str(tmp_path), own)
    with endpoint.listen() as listener:
        yield LocalDaemon(endpoint, listener, environ, own)


@pytest.fixture
async def served(daemon: LocalDaemon, tasks: TaskGroup) -> LocalDaemon:
    start(daemon, tasks, LONG)
    return daemon
