"""Tiny distributions in a folder that pip and uv take for an index, and locks that name them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

BACKEND = """
import pathlib, shutil

def build_wheel(folder, config_settings=None, metadata_directory=None):
    (ready,) = pathlib.Path.cwd().glob("*.whl")
    shutil.copy(ready, folder)
    return ready.name

build_editable = build_wheel
"""
"""A build backend whose product lies ready-made beside what it is to build."""


def wheel(
    folder: Path,
    name: str,
    version: str,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel that requires others, as lines of metadata, `extra == "x"` markers included."""
    plain = name.replace("-", "_").replace(".", "_").lower()
    info = f"{plain}-{version}.dist-info"
    extras = {line.partition('extra == "')[2].partition('"')[0] for line in requires} - {""}
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Provides-Extra: {each}" for each in sorted(extras)]
    metadata += [f"Requires-Dist: {line}" for line in requires]
    content = {
        f"{plain}_there.py": "",
        **(files or {}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{plain}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in content.items():
            archive.writestr(place.replace("{info}", info), text)
        record = "".join(f"{place.replace('{info}', info)},,\n" for place in content)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def source_of(ready: Path, backend: str) -> Path:
    """Turn a wheel into a source distribution that `backend` builds it from."""
    name, version = ready.name.split("-")[:2]
    root = f"{name}-{version}"
    built_by = f'[build-system]\nrequires = ["{backend}"]\nbuild-backend = "{backend}.build_meta"\n'
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    path = ready.with_name(f"{root}.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, f"{root}/PKG-INFO", about.encode())
        _add(archive, f"{root}/pyproject.toml", built_by.encode())
        _add(archive, f"{root}/{ready.name}", ready.read_bytes())
    ready.unlink()
    return path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def lock(distributions: Iterable[Path]) -> str:
    """Return a lock of these distributions, in the form that `uv pip compile` writes."""
    return "".join(
        f"{name}=={version} \\\n    --hash=sha256:{digest}\n    # via a test\n"
        for name, version, digest in map(_pin, distributions)
    )


def _pin(path: Path) -> tuple[str, str, str]:
    name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
    return name.replace("_", "-"), version, hashlib.sha256(path.read_bytes()).hexdigest()
