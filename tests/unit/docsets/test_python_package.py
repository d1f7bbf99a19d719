"""Installed Python packages: their public names with signature, parameters and examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import to_thread

from context7_fabric.docsets.sources.fetching import fetch, latest_revision
from context7_fabric.docsets.sources.files import documents
from context7_fabric.docsets.sources.packages import declared_licence, project_environment
from context7_fabric.docsets.sources.python_package import COMPILED, MOST_MODULE, installed_version
from context7_fabric.docsets.sources.source import (
    Document,
    Omitted,
    PythonSource,
    SourceBounds,
    SourceTree,
    parse_source,
)
from context7_fabric.errors import (
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
    UnusableSource,
)
from context7_fabric.settings.values import DocsetSettings

METADATA = """Metadata-Version: 2.1
Name: quay
Version: 1.2
License-Expression: MIT
Description-Content-Type: text/markdown

# Quay

Keeps ships.
"""
FILES = {
    "quay/__init__.py": '''"""Ships and their places."""
from quay._mooring import moor, _secret
from quay import berths
raise SystemExit("imported")
''',
    "quay/_mooring.py": '''
def moor(ship: str, *, lines: int = 2) -> bool:
    """Moor a ship.

    Parameters
    ----------
    ship : str
        Name of the ``ship``.
    lines : int, optional
        Lines to use.

    Returns
    -------
    bool
        Whether it holds.

    Raises
    ------
    ValueError
        There is no such ship.

    Examples
    --------
    >>> moor("Aurora")
    True
    """

def _secret():
    """Not public."""
''',
    "quay/berths.py": '''"""Berths."""
class Berth:
    """A place for one ship.

    Args:
        number: Its number.
    """
    def free(self):
        """Free it.

        # not a heading

        .. code-block:: python

            berth.free()
        """
    def _hidden(self):
        """Not public."""
''',
    "quay/_made.py": '''__all__ = ["late"]
def late(x):
    """Made public at run time."""
''',
    "quay/_docs.py": '''from numpy import add_newdoc
add_newdoc("quay._core", "tide", """tide(at) The height of the water.""")
add_newdoc("quay._core", "Buoy", [("ring", "Ring the bell.")])
''',
    "quay/sonar.cpython-311.so": "\0",
    "quay/tests/__init__.py": "",
    "quay/tests/test_moor.py": '"""Tests."""\ndef check():\n    """A test."""\n',
}
BOUNDS = SourceBounds()
SETTINGS = DocsetSettings()


async def pages_of(tree: SourceTree) -> dict[str, str]:
    found = await to_thread.run_sync(lambda: list(documents(tree, BOUNDS)))
    return {each.path: each.text for each in found if isinstance(each, Document)}


@dataclass(frozen=True)
class Environment:
    """A virtual environment with one package in it."""

    folder: Path
    site: Path
    out: Path

    @property
    def source(self) -> PythonSource:
        return PythonSource("quay", self.folder)

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        names = sorted(p.relative_to(self.site).as_posix() for p in self.site.rglob("*.*"))
        (self.site / "quay-1.2.dist-info" / "RECORD").write_text(
            "".join(f"{name},sha256=x,1\n" for name in names)
        )

    async def pages(self) -> dict[str, str]:
        return await pages_of(await fetch(self.source, self.out, BOUNDS, print, SETTINGS))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    (site / "quay-1.2.dist-info").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "out").mkdir()
    made = Environment(tmp_path / "venv", site, tmp_path / "out")
    made.write({"quay-1.2.dist-info/METADATA": METADATA, **FILES})
    return made


async def test_package_becomes_a_page_for_each_public_module(environment: Environment) -> None:
    tree = await fetch(environment.source, environment.out, BOUNDS, print, SETTINGS)
    assert (tree.version, tree.licence, tree.source) == ("1.2", "MIT", environment.source.line)
    assert tree.omitted == (Omitted("quay/sonar.cpython-311.so", COMPILED),)
    pages = await pages_of(tree)
    assert list(pages) == ["README.md", "quay.Buoy.md", "quay.berths.md", "quay.md"]
    assert "Keeps ships." in pages["README.md"]
    assert pages["quay.md"] == (
        "# quay\n\nShips and their places.\n\n"
        "## `quay.late(x)`\n\nMade public at run time.\n\n"
        "## `quay.moor(ship, *, lines=2)`\n\n"
        "```python\nquay.moor(ship: str, *, lines: int = 2) -> bool\n```\n\n"
        "Moor a ship.\n\n"
        "**Parameters**\n\n- `ship` (str): Name of the `ship`.\n"
        "- `lines` (int): Lines to use.\n\n"
        "**Returns**\n\n- `bool`: Whether it holds.\n\n"
        "**Raises**\n\n- `ValueError`: There is no such ship.\n\n"
        '**Examples**\n\n```pycon\n>>> moor("Aurora")\nTrue\n```\n\n'
        "## `quay.tide`\n\ntide(at) The height of the water."
    )
    assert pages["quay.berths.md"] == (
        "# quay.berths\n\nBerths.\n\n"
        "## `quay.berths.Berth`\n\nA place for one ship.\n\n"
        "**Parameters**\n\n- `number`: Its number.\n\n"
        "### `quay.berths.Berth.free()`\n\nFree it.\n\n"
        "\\# not a heading\n\n```python\nberth.free()\n```"
    )


async def test_package_is_read_again_once_its_files_have_changed(environment: Environment) -> None:
    tree = await fetch(environment.source, environment.out, BOUNDS, print, SETTINGS)
    assert await latest_revision(environment.source, BOUNDS, SETTINGS) == tree.revision
    environment.write({"quay/more.py": ""})
    assert await latest_revision(environment.source, BOUNDS, SETTINGS) != tree.revision
    assert await installed_version(environment.source) == "1.2"


async def test_package_that_is_not_installed_names_the_environment(
    environment: Environment,
) -> None:
    absent = PythonSource("absent", environment.folder)
    with pytest.raises(SourceNotFound, match=r"absent is not installed in .*venv"):
        await fetch(absent, environment.out, BOUNDS, print, SETTINGS)


async def test_package_in_editable_mode_is_refused(environment: Environment) -> None:
    record = environment.site / "quay-1.2.dist-info" / "RECORD"
    record.write_text("__editable__.quay.pth,,\n__editable___quay_finder.py,,\n")
    with pytest.raises(SourceNotFound, match="editable"):
        await environment.pages()


@pytest.mark.parametrize("text", ["def (", "x = " + "(" * 500, "\0", '"""\\ud800 half"""'])
async def test_package_with_a_module_that_cannot_be_parsed_keeps_the_others(
    environment: Environment, text: str
) -> None:
    environment.write({"quay/broken.py": text})
    assert "quay.moor" in (await environment.pages())["quay.md"]


async def test_package_whose_first_module_cannot_be_parsed_is_an_error_in_one_line(
    environment: Environment,
) -> None:
    environment.write({"quay/__init__.py": "def ("})
    with pytest.raises(SourceUnavailable) as caught:
        await environment.pages()
    assert "\n" not in str(caught.value)
    assert "griffe" not in str(caught.value)


@pytest.mark.parametrize("link", ["quay/link", "quay/link.py", "quay/deep/link"])
async def test_package_with_a_link_out_of_its_environment_is_refused(
    environment: Environment, tmp_path: Path, link: str
) -> None:
    path = environment.site / link
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path)
    with pytest.raises(SourceRefused, match=r"link.* is a link out of the environment"):
        await environment.pages()


async def test_package_with_a_link_within_its_environment_is_read(environment: Environment) -> None:
    (environment.site / "quay" / "harbour.py").symlink_to(environment.site / "quay" / "berths.py")
    assert "quay.harbour.md" in await environment.pages()


async def test_package_with_a_module_that_is_too_large_is_refused(environment: Environment) -> None:
    environment.write({"quay/large.py": "#" * (MOST_MODULE + 1)})
    with pytest.raises(SourceTooLarge, match=r"large\.py has more than 5,000,000 bytes"):
        await environment.pages()


@pytest.mark.parametrize(
    "line",
    [
        "python:",
        "python:-x --env /a",
        "python:'a b' --env /a",
        "python:x",
        "python:x --env a",
        "python:x --env",
    ],
)
def test_line_of_a_package_that_is_not_whole_is_refused(line: str) -> None:
    with pytest.raises(UnusableSource):
        parse_source(line, Path("/"))


def test_line_of_a_package_is_read_back(tmp_path: Path) -> None:
    source = PythonSource("quay.net", tmp_path / "my venv")
    assert parse_source(source.line, Path("/")) == source


def test_environment_of_this_process_is_never_taken(tmp_path: Path) -> None:
    assert project_environment({}, tmp_path) is None


@pytest.mark.parametrize(
    ("headers", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("License: BSD-3-Clause", "BSD-3-Clause"),
        ("Classifier: License :: OSI Approved :: MIT License", "MIT"),
        ("License: see the file", "unknown"),
        ("Name: x", "unknown"),
    ],
)
def test_licence_of_a_package_is_the_declared_one(headers: str, licence: str) -> None:
    assert declared_licence(f"{headers}\n\nLicense: GPL\n") == licence
