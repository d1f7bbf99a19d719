"""A fabric is opened by the name or the URL of its medium, and costs nothing before its use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import context7_fabric
from context7_fabric import (
    DiskFabric,
    Fabric,
    InMemoryFabric,
    RedisFabric,
    VectorFabric,
    open_fabric,
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("memory", InMemoryFabric),
        ("redis", RedisFabric),
        ("vector", VectorFabric),
        ("redis://localhost:7000/1", RedisFabric),
        ("rediss://cache.example", RedisFabric),
        ("unix:///run/redis.sock", RedisFabric),
        ("http://localhost:6333", VectorFabric),
    ],
)
def test_a_name_or_a_url_gives_the_fabric_of_its_medium(name: str, kind: type[Fabric]) -> None:
    assert type(open_fabric(name)) is kind


@pytest.mark.parametrize("form", ["disk:{}", "disk://{}"])
def test_a_folder_gives_a_fabric_on_disk(tmp_path: Path, form: str) -> None:
    fabric = open_fabric(form.format(tmp_path / "fabric"))
    assert type(fabric) is DiskFabric
    assert (tmp_path / "fabric" / "cache.db").exists()


def test_options_are_those_of_the_kind(tmp_path: Path) -> None:
    assert type(open_fabric("disk", path=tmp_path)) is DiskFabric
    with pytest.raises(TypeError, match="path"):
        open_fabric("disk")
    with pytest.raises(TypeError, match="colour"):
        open_fabric("memory", colour="red")


@pytest.mark.parametrize("name", ["", "paper", "disk:", "ftp://host", "redis"[:-1]])
def test_an_unknown_name_of_a_fabric_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="one of memory, disk, redis, vector, disk:FOLDER, or"):
        open_fabric(name)


def test_a_server_and_a_folder_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not both"):
        VectorFabric("http://localhost:6333", path=tmp_path)


def test_a_url_that_is_not_redis_is_refused() -> None:
    with pytest.raises(ValueError, match="a Redis URL looks like"):
        RedisFabric("localhost:6379")


def test_every_name_of_the_package_can_be_imported() -> None:
    assert {name: getattr(context7_fabric, name).__name__ for name in context7_fabric.__all__} == {
        name: name for name in context7_fabric.__all__
    }
    assert set(context7_fabric.__all__) <= set(dir(context7_fabric))


def test_a_name_that_the_package_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'PaperFabric'"):
        context7_fabric.PaperFabric  # noqa: B018  # looking is the test


def test_making_every_kind_imports_neither_clients_nor_models(tmp_path: Path) -> None:
    program = (
        "import sys; from context7_fabric import *;"
        "made = [InMemoryFabric(), RedisFabric(), VectorFabric(), VectorFabric(path=sys.argv[1])];"
        "slow = {'redis', 'qdrant_client', 'fastembed', 'numpy', 'mcp', 'rich'};"
        "print(slow & sys.modules.keys())"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
