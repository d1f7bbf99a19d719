"""A database that is none any more is set aside, and the store goes on empty."""

from pathlib import Path

import pytest

from context7_fabric.fabric.backends.disk import DiskBackend
from contracts.entries import got, put


@pytest.mark.parametrize("content", [b"this is no database at all " * 200, b"\x00" * 4096])
async def test_a_damaged_database_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "cache.db").write_bytes(content)
    backend = DiskBackend(tmp_path)
    await put(backend, "key", b"value")
    assert await got(backend, "key") == b"value"
    await backend.aclose()
    assert (tmp_path / "damaged-cache.db").read_bytes() == content
    assert (tmp_path / "cache.db").stat().st_mode & 0o777 == 0o600
