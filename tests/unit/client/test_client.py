"""Settings, memory, closing, and faults of the store."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from context7_fabric.client import CachedLibrary, Context7CacheClient
from context7_fabric.client.client import NameCache
from context7_fabric.client.source import CachedHit
from context7_fabric.errors import SettingError
from contracts.disk_store import execute
from support.scripted import FakeClock
from unit.client.programs import PYDANTIC, WIDGET, Asked, is_untouched, known, learned


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIBRARY_CACHE_TTL_DAYS", "a week"),
        ("CONTEXT7_FABRIC_LIBRARY_TTL", "a week"),
        ("RAG_SERVICE_URL", "rag:8007"),
    ],
)
def test_client_with_an_invalid_variable_raises_setting_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError) as caught:
        Context7CacheClient()
    assert (caught.value.variable, caught.value.value) == (name, value)


def test_client_with_an_invalid_url_names_what_is_expected(home: Path) -> None:
    with pytest.raises(SettingError) as caught:
        Context7CacheClient("rag:8007")
    assert str(caught.value) == (
        "rag_url: 'rag:8007' is not an http(s) URL such as http://127.0.0.1:3000"
    )


async def test_clearing_the_local_cache_leaves_the_store(home: Path, clock: FakeClock) -> None:
    asked = Asked()
    async with Context7CacheClient(None, asked, clock=clock) as cache:
        await cache.get_library_id("widget")
        assert cache.get_stats()["local_cache_size"] == 1
        cache.clear_local_cache()
        assert cache.get_stats()["local_cache_size"] == 0
        assert await cache.get_library_id("widget") == WIDGET
    assert asked.names == ["widget"]


def test_name_cache_when_full_evicts_the_least_recently_used() -> None:
    names = NameCache(limit=2)
    found = CachedHit(CachedLibrary("widget", WIDGET, [], "unknown", "", 0, 1.0), 0)
    names.put("one", found, 10)
    names.put("two", found, 10)
    assert names.get("one", 10) is found
    names.put("three", found, 10)
    assert [names.get(each, 10) for each in ("one", "two", "three")] == [found, None, found]
    assert names.get("one", 11) is None
    assert len(names) == 1


async def test_a_closed_client_opens_again_when_it_is_used(cache: Context7CacheClient) -> None:
    await cache.aclose()
    for name in ("pydantic", "redis"):
        assert await cache.get_library_id(name) is not None
        await cache.aclose()
        await cache.aclose()


async def test_making_and_closing_a_client_opens_nothing(home: Path) -> None:
    async with Context7CacheClient():
        pass
    assert is_untouched(home)


async def test_client_keeps_a_value_too_large_for_the_store(
    home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_VALUE_LIMIT", "10")
    asked = Asked()
    async with Context7CacheClient(None, asked, clock=clock) as cache:
        assert await cache.get_library_id("pydantic") == PYDANTIC
        assert [await cache.get_library_id("widget") for _ in range(2)] == [WIDGET] * 2
    assert asked.names == ["widget"]
    assert await known(clock, "widget") is None


async def test_client_with_an_unusable_home_uses_seeds_and_memory(
    home: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await anyio.Path(home).write_text("no folder")
    asked = Asked()
    async with Context7CacheClient(None, asked, clock=clock) as cache:
        assert await cache.get_library_id("pydantic") == PYDANTIC
        assert [await cache.get_library_id("widget") for _ in range(2)] == [WIDGET] * 2
    assert asked.names == ["widget"]
    assert caplog.text.count("cannot be used") == 1


async def test_a_store_that_breaks_is_a_miss(home: Path, clock: FakeClock) -> None:
    await learned(clock, "widget")
    asked = Asked("/widgets/widget2")
    async with Context7CacheClient(None, asked, clock=clock) as cache:
        assert await cache.get_library_id("pydantic") == PYDANTIC
        execute(home / "fabric", "DROP TABLE Cache")
        cache.clear_local_cache()
        assert await cache.get_library_id("pydantic") == PYDANTIC
        assert await cache.get_library_id("gadget") == "/widgets/widget2"
    assert asked.names == ["gadget"]


async def test_client_with_the_memory_backend_writes_no_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_FABRIC_BACKEND", "memory")
    async with Context7CacheClient(None, Asked()) as cache:
        assert await cache.get_library_id("widget") == WIDGET
    assert is_untouched(home)


async def test_choice_of_one_principal_is_not_followed_for_another(
    home: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTEXT7_API_KEY", "ctx7sk-one")
    await learned(clock, "widget")
    assert await known(clock, "widget") == WIDGET
    monkeypatch.setenv("CONTEXT7_API_KEY", "ctx7sk-two")
    assert await known(clock, "widget") is None
