"""The stand-in holds, drops and delays requests over HTTP, and reports their arrival."""

from collections.abc import AsyncIterator, Iterator

import anyio
import httpx2
import pytest

from support import faults
from support.client import PLAIN
from support.context7_api import Api, running_api

DOCS = "/v2/context?libraryId=/numpy/numpy&query="


@pytest.fixture
def api() -> Iterator[Api]:
    with running_api() as api:
        yield api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(verify=PLAIN, trust_env=False, timeout=40) as client:
        yield client


async def ask_at_once(api: Api, client: httpx2.AsyncClient, count: int, answers: list[str]) -> None:

    async def ask(number: int) -> None:
        answers.append((await client.get(f"{api.url}{DOCS}{number}")).text)

    async with anyio.create_task_group() as asking:
        for number in range(count):
            asking.start_soon(ask, number)


async def test_a_gate_holds_all_requests_until_its_release(
    api: Api, client: httpx2.AsyncClient
) -> None:
    answers: list[str] = []
    with api.gate() as gate:
        async with anyio.create_task_group() as asking:
            asking.start_soon(ask_at_once, api, client, 20, answers)
            await gate.arrived(20)
            assert not answers
            gate.release()
    assert len(set(answers)) == api.calls == 20


def test_the_end_of_the_block_releases_a_gate(api: Api) -> None:
    with api.gate():
        pass
    assert httpx2.get(f"{api.url}{DOCS}q", verify=PLAIN, trust_env=False).is_success


@pytest.mark.parametrize("fault", [faults.HANGING, faults.slow(60)], ids=["hanging", "slow"])
@pytest.mark.parametrize("end", ["heal", "release"])
async def test_a_hanging_or_slow_reply_goes_on_when_it_is_released(
    api: Api, client: httpx2.AsyncClient, fault: faults.Fault, end: str
) -> None:
    api.fail(fault)
    answers: list[str] = []
    async with anyio.create_task_group() as asking:
        asking.start_soon(ask_at_once, api, client, 2, answers)
        await api.arrived(2)
        assert not answers
        getattr(api, end)()
    assert all(answer.startswith("### ") for answer in answers)
