"""Default folders of the home and the cache: those of platformdirs, without importing it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import platformdirs.macos
import platformdirs.unix
import platformdirs.windows
import pytest
from platformdirs.api import PlatformDirsABC

from context7_fabric.errors import SettingError
from context7_fabric.relay.folders import (
    UnusablePath,
    cache_folder_of,
    home_of,
    old_home_of,
)
from context7_fabric.relay.handshake import identity, resolved
from context7_fabric.settings import read_settings

PLATFORMS: dict[str, Callable[[str], PlatformDirsABC]] = {
    "linux": platformdirs.unix.Unix,
    "darwin": platformdirs.macos.MacOS,
    "win32": platformdirs.windows.Windows,
}
NAMES = ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA", "CONTEXT7_FABRIC_HOME")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing set": {},
    "the user's folder": {"HOME": "/home/me"},
    "the user's folder with a slash": {"HOME": "/home/me/"},
    "the root": {"HOME": "/"},
    "no user's folder": {"HOME": ""},
    "a relative user's folder": {"HOME": "me"},
    "data": {"HOME": "/home/me", "XDG_DATA_HOME": "/data"},
    "data and cache": {"XDG_DATA_HOME": "/da ta/ö/", "XDG_CACHE_HOME": "/var/../cache"},
    "relative data": {"HOME": "/home/me", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "./cache"},
    "empty data": {"HOME": "/home/me", "XDG_DATA_HOME": "", "XDG_CACHE_HOME": ""},
    "a tilde": {"HOME": "/home/me", "XDG_DATA_HOME": "~/data", "XDG_CACHE_HOME": "~/cache"},
    "a blank in front": {"HOME": "/home/me", "XDG_DATA_HOME": " /data"},
    "relative variable": {"HOME": "/home/me", "XDG_DATA_HOME": "$HOME/data"},
    "the root as data": {"XDG_DATA_HOME": "/"},
}


@pytest.fixture(params=ENVIRONMENTS.values(), ids=list(ENVIRONMENTS))
def environ(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment, which this process has as well."""
    given: dict[str, str] = {"LOCALAPPDATA": "/users/me/AppData/Local/", **request.param}
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


@pytest.mark.parametrize("platform", PLATFORMS)
def test_default_folders_on_each_platform_are_those_of_platformdirs(
    platform: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    # Windows itself is not asked here.
    by_environment = platformdirs.windows.get_win_folder_from_env_vars
    monkeypatch.setattr(platformdirs.windows, "get_win_folder", by_environment)
    expected = PLATFORMS[platform]("context7-fabric")
    assert home_of(environ) == expected.user_data_dir
    assert cache_folder_of(environ) == expected.user_cache_dir
    settings = read_settings(environ)
    assert settings.home == Path(expected.user_data_dir)
    assert settings.cache_folder == Path(expected.user_cache_dir)


def test_home_in_a_daemon_is_that_of_its_relay(environ: dict[str, str]) -> None:
    meant = resolved(environ, "/work")
    shared = identity(meant)["environment"]
    assert isinstance(shared, dict)
    assert home_of(meant) == home_of(shared) == home_of(environ)
    assert cache_folder_of(shared) == cache_folder_of(environ)
    assert Path(str(shared["XDG_DATA_HOME"])) == Path(home_of(environ)).parent


@pytest.mark.parametrize("name", ["XDG_DATA_HOME", "HOME"])
def test_identity_differs_with_the_data_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    found = []
    for folder in ("/home/a", "/home/b"):
        monkeypatch.setenv(name, folder)
        found.append(identity(resolved({name: folder}, "/")))
    assert found[0] != found[1]


def test_identity_with_a_home_that_is_set_disregards_the_data_folder() -> None:
    found = [
        identity(resolved({"CONTEXT7_FABRIC_HOME": "/h", "XDG_DATA_HOME": folder}, "/"))
        for folder in ("/a", "/b")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", ["XDG_DATA_HOME", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("path", ["/data/$USER", "/data/two\nlines"])
def test_default_folder_that_cannot_be_used_is_refused(name: str, path: str) -> None:
    with pytest.raises(SettingError) as refused:
        read_settings({name: path})
    assert refused.value.variable == name


def test_home_of_a_user_without_a_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "somewhere")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    with pytest.raises(UnusablePath) as refused:
        home_of({})
    assert refused.value.variable == "HOME"
    assert "CONTEXT7_FABRIC_HOME" in refused.value.expected
    assert home_of({"CONTEXT7_FABRIC_HOME": "/srv/fabric"}) == "/srv/fabric"


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, "/home/me/.cache/context7-fabric"),
        ("linux", {"XDG_CACHE_HOME": "/cache"}, "/cache/context7-fabric"),
        ("linux", {"XDG_CACHE_HOME": " ~/cache "}, "/home/me/cache/context7-fabric"),
        ("linux", {"XDG_CACHE_HOME": "cache"}, "/home/me/.cache/context7-fabric"),
        ("linux", {"CONTEXT7_FABRIC_HOME": "/home/of/ours"}, None),
        ("darwin", {"XDG_CACHE_HOME": "/c"}, "/home/me/Library/Caches/context7-fabric"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/context7-fabric/context7-fabric/Cache"),
    ],
)
def test_old_home_is_where_it_was(
    platform: str, environ: Mapping[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "platform", platform)
    assert old_home_of(environ) == expected


def test_relay_finds_the_home_without_platformdirs() -> None:
    program = (
        "import sys; from context7_fabric.relay.folders import home_of; home_of({});"
        "print(sorted({'platformdirs', 'typing', 'pathlib'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={"PYTHONPATH": "server", "HOME": "relative"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
