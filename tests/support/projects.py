"""Projects in folders: a manifest, a lock file with the versions that a test names, pins."""

import json
from pathlib import Path


def python_project(folder: Path, **versions: str) -> Path:
    """Write a project that locks packages at `versions`; this blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    names = json.dumps(list(versions))
    (folder / "pyproject.toml").write_text(f'[project]\nname = "mine"\ndependencies = {names}\n')
    lock_python(folder, **versions)
    return folder


def lock_python(folder: Path, **versions: str) -> None:
    """Write the lock file alone; this blocks."""
    packages = (
        f'[[package]]\nname = "{name}"\nversion = "{version}"\n'
        for name, version in versions.items()
    )
    (folder / "uv.lock").write_text("version = 1\n" + "\n".join(packages))


def npm_project(folder: Path, **versions: str) -> Path:
    """Write a project that locks packages of npm at `versions`; this blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"name": "mine", "dependencies": dict.fromkeys(versions, "*")}
    packages = {f"node_modules/{name}": {"version": each} for name, each in versions.items()}
    (folder / "package.json").write_text(json.dumps(asked))
    lock = {"lockfileVersion": 3, "packages": packages}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


def pin_file(folder: Path, text: str) -> Path:
    """Write the pins of a project as they stand; this blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".context7-fabric.toml"
    path.write_text(text)
    return folder
