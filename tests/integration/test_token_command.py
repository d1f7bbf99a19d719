"""`token add|list|revoke` as a shell runs them: alone, two at once, and one that is killed."""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from context7_fabric.http_server.token_file import TokenFile
from support.fetched import alone_in, is_waiting
from support.processes import Process, spawn
from support.product import PROGRAM, product_environment, run_product

AT_ONCE = 6


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return product_environment(home)


@pytest.fixture
def file(home: Path) -> TokenFile:
    return TokenFile(home / "tokens")


def printed(*words: str, env: dict[str, str]) -> str:
    done = run_product("token", *words, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of the folder for the block, so that no process changes the file."""
    folder.mkdir(exist_ok=True)
    with alone_in(folder):
        yield


def wait_for_the_lock(process: Process) -> None:
    """Return when the process waits for the lock that this one holds."""
    while not is_waiting(process.pid):
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {process.wait(0.02)}: {process.err.text}")


def test_a_token_is_given_listed_and_taken_back(
    environment: dict[str, str], file: TokenFile
) -> None:
    token = printed("add", "ci", env=environment).removesuffix("\n")
    file.read()
    assert file.owner_of(token) == "ci"
    assert printed("list", env=environment).splitlines()[1].startswith("ci ")
    assert printed("revoke", "ci", env=environment) == "The token of ci is revoked.\n"
    file.read()
    assert file.owner_of(token) is None
    assert run_product("token", "revoke", "ci", env=environment).returncode == 1


def test_file_and_home_are_private_whatever_the_mask(
    environment: dict[str, str], file: TokenFile
) -> None:
    before = os.umask(0)
    try:
        printed("add", "ci", env=environment)
        file.path.chmod(0o644)
        printed("add", "bob", env=environment)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert list(file.path.parent.iterdir()) == [file.path]


def test_of_several_at_once_none_is_lost(environment: dict[str, str], file: TokenFile) -> None:
    with ExitStack() as stack:
        with held(file.path.parent):
            adding = {
                name: stack.enter_context(spawn([PROGRAM, "token", "add", name], environment))
                for name in (f"n{number}" for number in range(AT_ONCE))
            }
            for process in adding.values():
                wait_for_the_lock(process)
        assert [process.wait() for process in adding.values()] == [0] * AT_ONCE
        tokens = {name: process.out.wait_for("^c7f_.*$")[0] for name, process in adding.items()}
    file.read()
    assert {name: file.owner_of(token) for name, token in tokens.items()} == {
        name: name for name in tokens
    }


def test_of_two_with_one_name_one_is_refused(environment: dict[str, str], file: TokenFile) -> None:
    command = [PROGRAM, "token", "add", "ci"]
    with ExitStack() as stack:
        with held(file.path.parent):
            both = [stack.enter_context(spawn(command, environment)) for _process in range(2)]
            for process in both:
                wait_for_the_lock(process)
        codes = {process.wait(): process for process in both}
        assert sorted(codes) == [0, 1]
        token = codes[0].out.wait_for("^c7f_.*$")[0]
        codes[1].err.wait_for("'ci' has a token already")
    file.read()
    assert (file.names(), file.owner_of(token)) == (("ci",), "ci")


def test_one_that_is_killed_leaves_the_file_whole_and_the_lock_free(
    environment: dict[str, str], file: TokenFile
) -> None:
    token = printed("add", "ci", env=environment).strip()
    with held(file.path.parent), spawn([PROGRAM, "token", "add", "bob"], environment) as killed:
        wait_for_the_lock(killed)
        killed.popen.send_signal(signal.SIGKILL)
        killed.wait()
    printed("add", "eve", env=environment)
    file.read()
    assert (file.names(), file.owner_of(token)) == (("ci", "eve"), "ci")
