"""What the integration tests share: the stand-in in good health, real servers, a home."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.context7_api import Api, running_api
from support.mortal import KINDS
from support.product import Variables
from support.upstreams import NEWEST, context7_command, context7_http


@pytest.fixture(scope="session")
def newest() -> list[str]:
    """The command of the real 4.1.1, installed before any event loop runs."""
    return context7_command(NEWEST)


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
    """What makes the product start the real 4.1.1 as a child."""
    upstream = shlex.join(newest)
    return {"CONTEXT7_API_URL": shared_api.url, "CONTEXT7_FABRIC_UPSTREAM": upstream}


@pytest.fixture(scope="module")
def by_http(real_url: str) -> Variables:
    """What makes the product ask the real 4.1.1 over HTTP."""
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
