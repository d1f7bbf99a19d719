"""The git program: found, isolated from the user's configuration, watched, and ended whole."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import ByteReceiveStream, Process, TaskGroup

from context7_fabric.docsets.sources.source import CREDENTIALS, SIZE_OPTION, SourceFetch
from context7_fabric.errors import (
    DocsetSourceError,
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from context7_fabric.process import harmless

OLDEST = (2, 37)
"""First version that connects to a given address (http.curloptResolve)."""

_OPTIONS = {
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "core.hooksPath": os.devnull,
    "core.symlinks": "false",
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "core.autocrlf": "false",
    "credential.helper": "",
    "submodule.recurse": "false",
    "transfer.fsckObjects": "true",
    "transfer.bundleURI": "false",
    "http.followRedirects": "false",
    "http.sslVerify": "true",
    "http.lowSpeedLimit": "1000",
    "filter.lfs.smudge": "",
    "filter.lfs.process": "",
    "filter.lfs.required": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
}
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_ALLOW_PROTOCOL": "https",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}
_NOT_FOR_GIT = frozenset({"HOME", "XDG_CONFIG_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"})
_PROXY = "https_proxy"
_CONFIGURED = {
    "http.proxy": _PROXY,
    "http.sslcainfo": "GIT_SSL_CAINFO",
    "http.sslcapath": "GIT_SSL_CAPATH",
}
"""Keys of the user's configuration that are kept, and the variables that mean the same.

To git the key of the proxy precedes its variable, and the other variables precede their keys.
"""

_HOME = "home"
_CHUNK = 65536
_KEPT = 8192
_WATCH_SECONDS = 0.5
_SHOWN_BYTES = 100_000
_END_SECONDS = 5.0
_SHOWN = 160

_FAILURES: tuple[tuple[str, type[DocsetSourceError], str, str], ...] = (
    (
        r"Remote branch .* not found|couldn't find remote ref|not our ref",
        SourceNotFound,
        "it has no such branch, tag or commit",
        "correct it",
    ),
    (
        r"returned error: 3\d\d|redirect",
        SourceRefused,
        "the server redirects to another address",
        "give the new address, if the repository was renamed",
    ),
    (
        r"not found|could not read Username|returned error: 40[0134]|Authentication failed",
        SourceNotFound,
        "there is no public repository at this address",
        "correct the address: private repositories are added as a folder",
    ),
    (
        r"certificate|SSL",
        SourceUnavailable,
        "the certificate of the server is not trusted",
        "SSL_CERT_FILE names the authorities of your network",
    ),
    (
        r"too slow|timed out|Timeout",
        SourceUnavailable,
        "the server sends next to nothing",
        "try again later",
    ),
    (
        r"fsck|corrupt|bad object|invalid (path|object)",
        SourceRefused,
        "the repository is damaged",
        "add a copy of its documentation as a folder",
    ),
)


async def git_program(source: str, environment: Mapping[str, str]) -> str:
    """Return the path of a git that is new enough.

    Raises:
        SourceUnavailable: There is none, or only an older one.
    """
    program = await to_thread.run_sync(shutil.which, "git", os.X_OK, environment.get("PATH"))
    if program is None:
        raise SourceUnavailable(source, "git is not installed", "install git, or add a folder")
    done = await anyio.run_process([program, "version"], check=False, env=dict(_ENVIRONMENT))
    found = re.search(rb"(\d+)\.(\d+)", done.stdout)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        reason = f"git {'.'.join(map(str, OLDEST))} or later is needed"
        raise SourceUnavailable(source, reason, "update git, or add a folder")
    return program


async def user_network(
    program: str, url: str, folder: Path, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return `environment` with the proxy and certificates of the user's git configuration."""
    kept = {**environment, **_certificates(environment)}
    done = await anyio.run_process(
        [program, "config", "--includes", "--null", "--get-urlmatch", "http", url],
        check=False,
        cwd=folder,
        env={**environment, "GIT_CEILING_DIRECTORIES": str(folder.parent), "LC_ALL": "C"},
    )
    home = environment.get("HOME", "~")
    for entry in done.stdout.decode("utf-8", "replace").split("\0"):
        name, _, value = entry.partition("\n")
        variable = _CONFIGURED.get(name.lower())
        if value and variable and (variable == _PROXY or variable not in environment):
            kept[variable] = f"{home}{value[1:]}" if value.startswith("~/") else value
    return kept


def _certificates(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of git for the certificates that OpenSSL's name."""
    pairs = (("SSL_CERT_FILE", "GIT_SSL_CAINFO"), ("SSL_CERT_DIR", "GIT_SSL_CAPATH"))
    return {
        ours: environment[theirs]
        for theirs, ours in pairs
        if environment.get(theirs) and not environment.get(ours)
    }


class GitProcess:
    """Runs git for one `source` with all that makes it safe, one command at a time."""

    def __init__(
        self,
        program: str,
        source: str,
        fetch: SourceFetch,
        network: Mapping[str, str],
        pinned: tuple[str, ...],
    ) -> None:
        """Run in the folder of `fetch`; `pinned` are the options of the address."""
        self.source = source
        self._folder = fetch.into
        self._most = fetch.bounds.transfer_bytes
        self._progress = fetch.progress
        options = {**_OPTIONS, "http.lowSpeedTime": str(max(1, int(fetch.bounds.idle)))}
        named = (word for name, text in options.items() for word in ("-c", f"{name}={text}"))
        self._command = (program, "--no-pager", *named, *pinned)
        self._environment = {
            **{name: text for name, text in network.items() if name not in _NOT_FOR_GIT},
            **_ENVIRONMENT,
            "HOME": str(self._folder / _HOME),
            "GIT_CEILING_DIRECTORIES": str(self._folder.parent),
        }

    async def output(self, *arguments: str, most: int) -> bytes:
        """Run a command and return what it prints, at most `most` bytes.

        Raises:
            DocsetSourceError: It failed, or printed more.
        """
        printed = bytearray()

        def take(chunk: bytes) -> None:
            printed.extend(chunk)
            if len(printed) > most:
                raise SourceTooLarge(self.source, "its list of tags is too long", "name a tag")

        await self.run(*arguments, take=take)
        return bytes(printed)

    async def run(
        self, *arguments: str, take: Callable[[bytes], None] = lambda _chunk: None
    ) -> None:
        """Run a command; give what it prints to `take`, which may raise.

        Raises:
            DocsetSourceError: It failed, or its folder grew beyond the bound.
        """
        await to_thread.run_sync(_make_home, self._folder / _HOME)
        process = await anyio.open_process(
            [*self._command, *arguments],
            stdin=subprocess.DEVNULL,
            cwd=self._folder,
            env=self._environment,
            start_new_session=True,
        )
        running = _Running(process, take)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, running, tasks)
                await running.finish()
                tasks.cancel_scope.cancel()
        finally:
            await _end(process)
        if running.problem is not None:
            raise running.problem
        if process.returncode:
            raise failure(self.source, running.last_words)
        await self._check_size()

    async def _watch(self, running: _Running, tasks: TaskGroup) -> None:
        """End the command when its folder is larger than it may be."""
        try:
            while True:
                await anyio.sleep(_WATCH_SECONDS)
                size = await self._check_size()
                if size > _SHOWN_BYTES:
                    self._progress(f"{size / 1e6:.1f} MB fetched")
        except SourceTooLarge as error:
            running.problem = error
            tasks.cancel_scope.cancel()

    async def _check_size(self) -> int:
        """Return the bytes in the folder; a fast network can fill it between two looks."""
        size = await to_thread.run_sync(folder_size, self._folder)
        if size > self._most:
            reason = f"more than {self._most / 1e6:g} MB would be fetched"
            remedy = "name its documentation by --path"
            raise SourceTooLarge(self.source, reason, remedy, SIZE_OPTION)
        return size


class _Running:
    """Output of a command that runs, and the problem that ended it early."""

    def __init__(self, process: Process, take: Callable[[bytes], None]) -> None:
        self.problem: DocsetSourceError | None = None
        self.last_words = ""
        self._process = process
        self._take = take

    async def finish(self) -> None:
        """Read all output, and wait for the end unless the output is refused."""
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._read_errors)
            try:
                async for chunk in _chunks(self._process.stdout):
                    self._take(chunk)
            except DocsetSourceError as error:
                self.problem = error
                readers.cancel_scope.cancel()
        if self.problem is None:
            await self._process.wait()

    async def _read_errors(self) -> None:
        async for chunk in _chunks(self._process.stderr):
            self.last_words = (self.last_words + chunk.decode("utf-8", "replace"))[-_KEPT:]


async def _chunks(stream: ByteReceiveStream | None) -> AsyncIterator[bytes]:
    while stream is not None:
        try:
            yield await stream.receive(_CHUNK)
        except anyio.EndOfStream:
            return


async def _end(process: Process) -> None:
    """Kill the program and all that it started, and wait for them: they write into the folder.

    Its standard error ends when the last of them has ended.
    """
    with anyio.CancelScope(shield=True):
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        with anyio.move_on_after(_END_SECONDS):
            async for _rest in _chunks(process.stderr):
                pass
        await process.aclose()


def _make_home(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)


def folder_size(folder: Path) -> int:
    """Return the bytes of the files below a folder; blocks on the disk."""
    size = 0
    for at, _folders, files in os.walk(folder):
        for name in files:
            with suppress(OSError):  # git renames and deletes while this counts
                size += os.lstat(os.path.join(at, name)).st_size  # noqa: PTH118
    return size


def failure(source: str, words: str) -> DocsetSourceError:
    """Return the error that git's last words stand for."""
    for pattern, kind, reason, remedy in _FAILURES:
        if re.search(pattern, words, re.IGNORECASE):
            return kind(source, reason, remedy)
    lines = [line for line in words.splitlines() if line.strip()]
    shown = (
        harmless(CREDENTIALS.sub("…@", lines[-1])).strip()[:_SHOWN] if lines else "no reason given"
    )
    return SourceUnavailable(source, f"git failed ({shown})", "check the address and the network")
