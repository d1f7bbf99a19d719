"""Programs that a machine may lack, and the tests that need them."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(*names: str, path: str | None = None) -> str:
    """Return where the first of these programs is; skips the test if one of them is missing."""
    found = {name: shutil.which(name, path=path) for name in names}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    return str(found[names[0]])


def needed_server(name: str) -> str:
    """Return where a server is, maybe in an `sbin` that no user has on the PATH; skips as well."""
    folders = os.environ["PATH"].split(os.pathsep)
    beside = [f"{each.removesuffix('bin')}sbin" for each in folders if each.endswith("/bin")]
    return needed(name, path=os.pathsep.join([*folders, *beside]))
