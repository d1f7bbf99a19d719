"""Fixtures of the integration tests: the stand-in in good health, real servers, a home."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support import forked
from support.context7_api import Api, running_api
from support.fetched import fetch
from support.inspector import inspector_program
from support.model import model_path
from support.mortal import KINDS
from support.npm import npm_package
from support.product import Variables, serves_either_way
from support.upstreams import NEWEST, OLDEST, context7_command, context7_http

SDK = ("@modelcontextprotocol/sdk", "1.32.2")

FETCHED: Mapping[str, Callable[[], object]] = {
    "newest": partial(context7_command, NEWEST),
    "oldest": partial(context7_command, OLDEST),
    "inspector": inspector_program,
    "sdk": partial(npm_package, *SDK),
    "model": model_path,
}
"""Downloads by the name of the fixture that needs them."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Fetch first what the chosen tests lack: it takes minutes, and a test's limit would end it.

    The process that forks the product's commands has its imports behind it by the first test.
    """
    if not session.config.option.collectonly:
        if session.items:  # which the process that controls the workers has none of
            forked.parent()
        chosen = (item for item in session.items if isinstance(item, pytest.Function))
        used = {name for item in chosen for name in item.fixturenames}
        fetch(FETCHED[name] for name in FETCHED if name in used)


_running: list[pytest.Item] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record the test that starts processes from now on."""
    _running[:] = [item]


def _no_client_unmarked(event: str, arguments: tuple[Any, ...]) -> None:
    """Fail an unmarked test that TEST_DAEMON affects: `make test-daemon` would omit it."""
    if event != "subprocess.Popen" or not _running:
        return
    _program, words, _folder, environment = arguments
    if serves_either_way(words, environment) and not _running[0].get_closest_marker("either_mode"):
        pytest.fail("serves a client with or without a daemon: mark it or its module `either_mode`")


sys.addaudithook(_no_client_unmarked)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let redis-py leave a connection to the garbage collector that a time-out cut short."""
    for item in items:
        if item.path.name.startswith("test_redis"):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.fixture(scope="session")
def newest() -> list[str]:
    """The command of the real 4.1.1, installed before any event loop runs."""
    return context7_command(NEWEST)


@pytest.fixture(scope="session")
def oldest() -> list[str]:
    """The command of the real 1.0.33."""
    return context7_command(OLDEST)


@pytest.fixture(scope="session")
def sdk() -> Path:
    """The folder that holds the TypeScript SDK."""
    return npm_package(*SDK)


@pytest.fixture(scope="session")
def inspector() -> str:
    """The Inspector's program."""
    return inspector_program()


@pytest.fixture(scope="session")
def model() -> Path:
    """The folder that holds the real embedding model."""
    return model_path()


@pytest.fixture(scope="module")
def shared_api() -> Iterator[Api]:
    """A stand-in for all tests of a module."""
    with running_api() as api:
        yield api


@pytest.fixture
def api(shared_api: Api) -> Iterator[Api]:
    """The stand-in in good health, with an empty log."""
    catalogue = shared_api.catalogue
    shared_api.clear()
    yield shared_api
    shared_api.heal()
    shared_api.redirects.clear()
    shared_api.catalogue = catalogue
    shared_api.revision = 1


@pytest.fixture(scope="module")
def real_url(shared_api: Api, newest: list[str]) -> Iterator[str]:
    """The real 4.1.1 on HTTP."""
    with context7_http(shared_api) as url:
        yield url


@pytest.fixture(scope="module")
def by_command(shared_api: Api, newest: list[str]) -> Variables:
    """Variables with which the product starts the real 4.1.1 as a child."""
    upstream = shlex.join(newest)
    return {"CONTEXT7_API_URL": shared_api.url, "CONTEXT7_FABRIC_UPSTREAM": upstream}


@pytest.fixture(scope="module")
def by_http(real_url: str) -> Variables:
    """Variables with which the product asks the real 4.1.1 over HTTP."""
    return {"CONTEXT7_FABRIC_UPSTREAM": real_url}


@pytest.fixture(scope="module", params=KINDS)
def upstream(request: pytest.FixtureRequest) -> Variables:
    """Each of the two in turn."""
    variables: Variables = request.getfixturevalue(f"by_{request.param}")
    return variables


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that is not there yet."""
    return tmp_path / "home"
