"""Folders of a project, and the looks at its files: when they count, and what they cost."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from context7_fabric.project.pins import ProjectPins, read_project
from context7_fabric.project.projects import (
    LOOK_SECONDS,
    MOST_PROJECTS,
    Projects,
    project_folders,
)
from support.projects import lock_python, npm_project, pin_file, python_project


def folders(start: Path, user: Path) -> list[str]:
    return [each.name for each in project_folders(start, user)]


def test_project_folders_are_the_manifest_the_lock_and_the_repository(tmp_path: Path) -> None:
    top = npm_project(tmp_path / "user" / "top", react="1.0")
    (top / ".git").mkdir()
    member = top / "packages" / "app"
    (member / "src").mkdir(parents=True)
    (member / "package.json").write_text("{}")
    (tmp_path / "user" / "package.json").write_text("{}")
    assert folders(member / "src", tmp_path / "user") == ["app", "top"]
    assert folders(top, tmp_path / "user") == ["top"]
    (member / "package-lock.json").write_text("{}")
    assert folders(member, tmp_path / "user") == ["app", "top"]


def test_project_folders_are_never_the_users_own_or_above(tmp_path: Path) -> None:
    user = python_project(tmp_path / "user", fastapi="1.0")
    (user / ".git").mkdir()
    (user / "work").mkdir()
    python_project(tmp_path, fastapi="1.0")
    assert folders(user, user) == []
    assert folders(user / "work", user) == []
    assert folders(Path("/"), user) == []
    assert folders(tmp_path / "nowhere" / "at all", user) == []


def test_project_folders_above_that_all_may_write_to_are_none(tmp_path: Path) -> None:
    shared = python_project(tmp_path / "shared", fastapi="1.0")
    shared.chmod(0o777)
    (shared / "mine").mkdir()
    assert folders(shared / "mine", tmp_path / "user") == []
    assert folders(shared, tmp_path / "user") == ["shared"]


@dataclass
class Ticks:
    """Monotonic time, moved by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Reader:
    """Reader of projects that counts, and can be held up."""

    reads: int = 0
    gate: "anyio.Event | None" = None
    folders: list[tuple[Path, ...]] = field(default_factory=list)

    def __call__(self, folders: tuple[Path, ...], home: Path) -> ProjectPins:
        self.reads += 1
        self.folders.append(folders)
        if self.gate is not None:
            anyio.from_thread.run(self.gate.wait)
        return read_project(folders, home)


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
async def projects(tmp_path: Path, ticks: Ticks, reader: Reader) -> AsyncGenerator[Projects]:
    async with anyio.create_task_group() as tasks:
        yield Projects(tasks, tmp_path / "home", tmp_path / "user", ticks, reader)
        tasks.cancel_scope.cancel()


@pytest.fixture
async def hurried(tmp_path: Path, ticks: Ticks, reader: Reader) -> AsyncGenerator[Projects]:
    """Projects for which no call waits."""
    async with anyio.create_task_group() as tasks:
        home, user = tmp_path / "home", tmp_path / "user"
        yield Projects(tasks, home, user, ticks, reader, waits=(0.0, 0.0))
        tasks.cancel_scope.cancel()


async def version(projects: Projects, folder: Path) -> str | None:
    found = (await projects.of(str(folder))).dependencies
    return found[0].version if found else None


async def test_changed_lock_file_counts_after_the_look_seconds_and_is_read_once(
    projects: Projects, ticks: Ticks, reader: Reader, tmp_path: Path
) -> None:
    folder = await to_thread.run_sync(lambda: python_project(tmp_path / "p", fastapi="1.0"))
    assert projects.digest(str(folder)) is None
    assert await version(projects, folder) == "1.0"
    first = projects.digest(str(folder))
    await to_thread.run_sync(lambda: lock_python(folder, fastapi="1.0.1"))
    assert await version(projects, folder) == "1.0"
    ticks.now += LOOK_SECONDS
    assert projects.digest(str(folder)) is None
    assert await version(projects, folder) == "1.0.1"
    assert projects.digest(str(folder)) not in (None, first)
    for _ in range(3):
        ticks.now += LOOK_SECONDS
        assert await version(projects, folder) == "1.0.1"
    assert reader.reads == 2


async def test_pin_file_that_comes_and_goes_counts(
    projects: Projects, ticks: Ticks, tmp_path: Path
) -> None:
    folder = await to_thread.run_sync(lambda: python_project(tmp_path / "p", fastapi="1.0"))
    assert (await projects.of(str(folder))).pins == ()
    await to_thread.run_sync(lambda: pin_file(folder, "[pins]\na = '/b/a'\n"))
    ticks.now += LOOK_SECONDS
    assert [pin.name for pin in (await projects.of(str(folder))).pins] == ["a"]
    await anyio.Path(folder / ".context7-fabric.toml").unlink()
    ticks.now += LOOK_SECONDS
    assert (await projects.of(str(folder))).pins == ()


async def test_users_pins_count_in_every_project_and_without_one(
    projects: Projects, ticks: Ticks, tmp_path: Path
) -> None:
    assert not await projects.of("/")
    home = anyio.Path(tmp_path / "home")
    await home.mkdir()
    await (home / "pins.toml").write_text("[pins]\na = '/b/a'\n")
    ticks.now += LOOK_SECONDS
    assert [pin.trusted for pin in (await projects.of("/")).pins] == [True]
    assert not await projects.of("")
    assert projects.digest("") == ""


async def test_callers_of_one_project_share_one_look(
    projects: Projects, reader: Reader, tmp_path: Path
) -> None:
    folder = await to_thread.run_sync(lambda: python_project(tmp_path / "p", fastapi="1.0"))
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(version, projects, folder)
    assert reader.reads == 1


async def test_slow_project_is_waited_for_a_little_and_read_once(
    hurried: Projects, reader: Reader, tmp_path: Path
) -> None:
    folder = await to_thread.run_sync(lambda: python_project(tmp_path / "p", fastapi="1.0"))
    reader.gate = anyio.Event()
    for _ in range(3):
        assert await version(hurried, folder) is None
    reader.gate.set()
    await hurried.look(str(folder)).wait()
    assert await version(hurried, folder) == "1.0"
    assert reader.reads == 1


async def test_slow_project_that_was_read_before_keeps_its_last_pins_meanwhile(
    hurried: Projects, reader: Reader, ticks: Ticks, tmp_path: Path
) -> None:
    folder = await to_thread.run_sync(lambda: python_project(tmp_path / "p", fastapi="1.0"))
    await hurried.look(str(folder)).wait()
    await to_thread.run_sync(lambda: lock_python(folder, fastapi="1.0.1"))
    reader.gate = anyio.Event()
    ticks.now += LOOK_SECONDS
    assert await version(hurried, folder) == "1.0"
    reader.gate.set()
    await hurried.look(str(folder)).wait()
    assert await version(hurried, folder) == "1.0.1"


async def test_project_whose_reading_fails_keeps_its_last_pins(
    projects: Projects, ticks: Ticks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await to_thread.run_sync(lambda: python_project(tmp_path / "p", fastapi="1.0"))
    assert await version(projects, folder) == "1.0"
    await to_thread.run_sync(lambda: lock_python(folder, fastapi="1.0.1"))
    monkeypatch.setattr(projects, "_read", None)
    ticks.now += LOOK_SECONDS
    assert await version(projects, folder) == "1.0"


async def test_many_projects_are_kept_up_to_a_bound(
    projects: Projects, reader: Reader, tmp_path: Path
) -> None:
    for number in range(MOST_PROJECTS + 1):
        await projects.of(str(tmp_path / str(number)))
    assert projects.digest(str(tmp_path / "0")) is None
    assert projects.digest(str(tmp_path / "1")) == ""


async def test_project_that_cannot_be_looked_at_has_no_pins(
    projects: Projects, tmp_path: Path
) -> None:
    for folder in ("\0", "x" * 5000, "relative", str(tmp_path / "loop")):
        assert not await projects.of(folder)
