"""Contract of every source of library ids. A test file supplies `open_source`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import pytest

from context7_fabric.client.source import LibrarySource
from context7_fabric.parsing.ids import LibraryId
from support.scripted import FakeClock

WIDGET = LibraryId("widgets", "widget1")
OpenSource = Callable[[], AbstractAsyncContextManager[LibrarySource]]


async def id_of(source: LibrarySource, name: str) -> str | None:
    """Return the id that a source finds for a name."""
    found = await source.find(name)
    return found.library.library_id if found else None


class SourceContract(ABC):
    """`open_source` opens a source, each time another one on the same libraries."""

    @pytest.fixture
    @abstractmethod
    def open_source(self, clock: FakeClock) -> OpenSource:
        """Supplied by each source; the libraries are those of the seeds."""

    async def test_a_name_of_a_seed_is_found_with_all_that_is_known(
        self, open_source: OpenSource
    ) -> None:
        async with open_source() as source:
            found = await source.find("Pydantic")
        assert found is not None
        library = found.library
        assert (library.library_name, library.library_id) == ("pydantic", "/pydantic/pydantic")
        assert (library.category, library.relevance_score) == ("web-frameworks", 1.0)
        assert (library.last_verified, library.verified_at, library.usage_count) == ("", None, 0)
        assert isinstance(library.aliases, list)

    @pytest.mark.parametrize(
        ("name", "library_id"),
        [
            ("redis", "/redis/redis-py"),
            ("redis-py", "/redis/redis-py"),
            ("py.test", "/pytest-dev/pytest"),
            ("mongodb", None),
            ("huggingface", None),
            ("validate data with types", None),
            ("", None),
            ("w" * 600, None),
            ("\U0001f5dd", None),
        ],
    )
    async def test_a_name_means_a_library_exactly_or_not_at_all(
        self, open_source: OpenSource, name: str, library_id: str | None
    ) -> None:
        async with open_source() as source:
            assert await id_of(source, name) == library_id

    async def test_what_is_learned_is_returned_and_known_to_others(
        self, open_source: OpenSource, clock: FakeClock
    ) -> None:
        async with open_source() as source:
            assert await id_of(source, "Some Widget") is None
            learned = (await source.learn("Some Widget", WIDGET)).library
            assert (learned.library_name, learned.library_id) == ("some-widget", str(WIDGET))
            assert (learned.relevance_score, learned.verified_at) == (1.0, clock.now)
            assert await id_of(source, "some_widget") == str(WIDGET)
        async with open_source() as source:
            found = await source.find("some widget")
        assert found is not None
        library = found.library
        assert (library.library_id, library.category) == (str(WIDGET), "unknown")
        assert library.last_verified == datetime.fromtimestamp(clock.now, UTC).isoformat()

    async def test_what_is_learned_last_counts(self, open_source: OpenSource) -> None:
        async with open_source() as source:
            for library_id in (WIDGET, LibraryId("else", "where")):
                await source.learn("widget", library_id)
                assert await id_of(source, "widget") == str(library_id)
            await source.learn("pydantic", WIDGET)
            assert await id_of(source, "pydantic") == str(WIDGET)

    async def test_a_version_is_kept_by_the_caller_alone(self, open_source: OpenSource) -> None:
        version = LibraryId("widgets", "widget1", "2.0")
        async with open_source() as source:
            assert (await source.learn("widget", version)).library.library_id == str(version)
            assert await id_of(source, "widget") is None

    @pytest.mark.parametrize("name", ["", " ", "\ud800", "w" * 600])
    async def test_any_text_may_be_learned(self, open_source: OpenSource, name: str) -> None:
        async with open_source() as source:
            assert (await source.learn(name, WIDGET)).library.library_id == str(WIDGET)

    async def test_a_closed_source_is_opened_by_its_use(self, open_source: OpenSource) -> None:
        async with open_source() as source:
            await source.used({"/pydantic/pydantic": 2})
            await source.aclose()
            assert await id_of(source, "pydantic") == "/pydantic/pydantic"
            await source.aclose()
