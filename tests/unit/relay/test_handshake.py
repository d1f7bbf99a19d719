"""A relay's first line: what makes two windows share a daemon, and what each keeps to itself."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from context7_fabric.relay import handshake as hello_module
from context7_fabric.relay.folders import home_of
from context7_fabric.relay.handshake import (
    SERVE,
    UPSTREAM_ENVIRONMENT,
    WINDOW_ENVIRONMENT,
    hello,
    identity,
    resolved,
)
from context7_fabric.settings import read_settings
from context7_fabric.version import __version__

HOME = {"CONTEXT7_FABRIC_HOME": "/home/of/ours"}


class TestResolved:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("/absolute/", "/absolute"),
            ("below", "/work/dir/below"),
            ("../beside/./it", "/work/beside/it"),
            (" ~/cache ", str(Path("~/cache").expanduser())),
        ],
    )
    def test_a_path_is_as_meant_in_the_windows_folder(self, written: str, meant: str) -> None:
        environ = {**HOME, "CONTEXT7_FABRIC_SEED": written, "SSL_CERT_FILE": written}
        clear = resolved(environ, "/work/dir")
        assert clear == {**HOME, "CONTEXT7_FABRIC_SEED": meant, "SSL_CERT_FILE": meant}

    def test_what_is_no_path_stays_as_it_is(self) -> None:
        environ = {**HOME, "HTTPS_PROXY": "http://proxy", "CONTEXT7_FABRIC_SEED": "", "X": "./x"}
        assert resolved(environ, "/work") == environ

    @pytest.mark.parametrize(
        "environ", [{}, {"CONTEXT7_FABRIC_HOME": " "}, {"CONTEXT7_FABRIC_HOME": ""}], ids=repr
    )
    def test_a_home_that_is_not_set_stays_so(self, environ: dict[str, str]) -> None:
        full = resolved(environ, "/work")
        assert full == {"XDG_DATA_HOME": str(Path(home_of({})).parent)}
        assert read_settings(full).home == read_settings(environ).home


class TestIdentity:
    @pytest.mark.parametrize("name", WINDOW_ENVIRONMENT)
    def test_windows_of_one_daemon_may_differ_in_what_is_theirs(self, name: str) -> None:
        assert identity({**HOME, name: "a"}) == identity({**HOME, name: "b"}) == identity(HOME)

    @pytest.mark.parametrize("name", ["CONTEXT7_FABRIC_DAEMON", "EDITOR", "TERM", "PWD"])
    def test_what_does_not_matter_upstream_is_left_out(self, name: str) -> None:
        assert identity({**HOME, name: "a"}) == identity(HOME)

    @pytest.mark.parametrize(
        "name",
        [
            *sorted(set(UPSTREAM_ENVIRONMENT) - set(WINDOW_ENVIRONMENT)),
            "HOME",
            "CONTEXT7_FABRIC_HOME",
            "CONTEXT7_FABRIC_BACKEND",
            "CONTEXT7_FABRIC_DAEMON_IDLE",
            "CONTEXT7_FABRIC_SOMETHING_NEW",
        ],
    )
    def test_another_value_of_what_matters_is_another_identity(self, name: str) -> None:
        assert identity({**HOME, name: "a"}) != identity({**HOME, name: "b"})

    def test_empty_is_as_good_as_absent(self) -> None:
        assert identity({**HOME, "HTTPS_PROXY": ""}) == identity(HOME)

    def test_version_and_program_are_part_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = identity(HOME)
        assert own["version"] == __version__
        monkeypatch.setattr(hello_module, "__version__", "another")
        assert identity(HOME) != own
        monkeypatch.undo()
        monkeypatch.setattr(sys, "executable", "/another/python")
        assert identity(HOME) != own

    def test_the_network_is_part_of_it(self) -> None:
        assert identity(HOME)["network"] == str(Path("/proc/self/ns/net").readlink())


class TestHello:
    def test_it_is_one_line_whatever_the_environment_holds(self) -> None:
        odd = {**HOME, "CONTEXT7_FABRIC_PRINCIPAL": "zwei\nZeilen \udcff 日本", "TERM": "x"}
        line = hello(SERVE, odd, "/a\n\udcff", "key'\"\n")
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert ast.literal_eval(line.decode("ascii")) == {
            "wish": "serve",
            "identity": identity(odd),
            "window": {"CONTEXT7_FABRIC_PRINCIPAL": odd["CONTEXT7_FABRIC_PRINCIPAL"]},
            "directory": "/a\n\udcff",
            "api_key": "key'\"\n",
        }

    def test_a_credential_is_said_of_the_window_and_not_of_the_daemon(self) -> None:
        line = hello(SERVE, {**HOME, "CONTEXT7_API_KEY": "ctx7sk-1"}, "/", None)
        said = ast.literal_eval(line.decode("ascii"))
        assert said["window"] == {"CONTEXT7_API_KEY": "ctx7sk-1"}
        assert "ctx7sk-1" not in repr(said["identity"])
