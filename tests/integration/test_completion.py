"""Shell completion in the shells themselves, and suggestions that need an app."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from context7_fabric.cli.completion import script
from context7_fabric.cli.main import main
from support.docsets import QUAY, add, library_in, write_pages
from support.forked import started
from support.product import PROGRAM, product_environment

pytestmark = pytest.mark.timeout(180)

BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_shtab_context7_fabric
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source $argv[1]; complete --do-complete "$argv[2]"'
ZSH = """
PROMPT='READY> '
fpath=({folder} $fpath)
autoload -Uz compinit && compinit -u
setopt no_beep auto_list
"""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\0]")

TYPED = {
    "doct": "doctor",
    "daemon st": "status",
    "doctor --re": "--report",
    "config cl": "claude-code",
    "context list --j": "--json",
    "serve --transport s": "sse",
    "index --seed pag": "pages",
    "remove /harb": QUAY,
    "docs /harb": QUAY,
}
"""What is typed behind the program's name, and a word that completes it."""

TYPED_IN_ZSH = ("doct", "daemon st", "config cl", "index --seed pag", "remove /harb")
"""Those that the slowest of the shells is asked for: one of each kind."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder with pages, and a home with a docset of them."""
    folder = tmp_path_factory.mktemp("completion")
    pages = write_pages(folder / "pages")
    add(library_in(folder / "home"), pages)
    variables = {"HOME": str(folder), "CONTEXT7_FABRIC_UPSTREAM": "off", "TERM": "vt100"}
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    return {**product_environment(folder / "home", variables), "PATH": path}


def needed(shell: str) -> str:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    return program


def scripted(shell: str, environment: Mapping[str, str]) -> Path:
    path = Path(environment["HOME"]) / f"completion.{shell}"
    path.write_text(script(shell))
    return path


def printed(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command,
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("typed", TYPED)
def test_bash_completes(typed: str, environment: dict[str, str]) -> None:
    words = [f"{scripted('bash', environment)}", "context7-fabric", *typed.split(" ")]
    out = printed([needed("bash"), "--norc", "-c", BASH, "bash", *words], environment)
    assert TYPED[typed] in out.split(), out


@pytest.mark.parametrize("typed", TYPED)
def test_fish_completes(typed: str, environment: dict[str, str]) -> None:
    path = str(scripted("fish", environment))
    line = f"context7-fabric {typed}"
    out = printed([needed("fish"), "--no-config", "-c", FISH, path, line], environment)
    assert TYPED[typed] in {each.split("\t")[0].rstrip("/") for each in out.splitlines()}, out


def test_zsh_completes(environment: dict[str, str]) -> None:
    zsh, folder = needed("zsh"), Path(environment["HOME"])
    wanted = {typed: TYPED[typed] for typed in TYPED_IN_ZSH}
    (folder / ".zshrc").write_text(ZSH.format(folder=folder))
    scripted("zsh", environment).rename(folder / "_context7-fabric")
    shell, end = pty.openpty()
    termios.tcsetwinsize(end, (50, 200))
    with started([zsh, "-i"], environment, folder, stdin=end, stdout=end, stderr=end) as process:
        os.close(end)
        try:
            read_until(shell, "READY> ")
            found = {typed: zsh_shows(shell, typed, word) for typed, word in wanted.items()}
        finally:
            process.kill()
    os.close(shell)
    assert all(word in found[typed] for typed, word in wanted.items()), found


def zsh_shows(shell: int, typed: str, word: str) -> str:
    """Return the screen after a Tab, once the whole word is on it; empty the line."""
    os.write(shell, f"context7-fabric {typed}\t".encode())
    shown = read_until(shell, word)
    os.write(shell, b"\x15\n")
    read_until(shell, "READY> ")
    return shown


def read_until(terminal: int, *wanted: str, seconds: float = 30.0) -> str:
    """Return what a terminal shows until one of the texts is there, or the time is over."""
    shown, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline and not any(each in shown for each in wanted):
        if select.select([terminal], [], [], 0.5)[0]:
            part = os.read(terminal, 65536).decode(errors="replace")
            shown += ANSI.sub("", part)
    return shown


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["index", "--dry-run", "--category", "web-framework"], "web-frameworks"),
        (["docs", "/chroma-core/chrom", "how"], "/chroma-core/chroma"),
    ],
    ids=["category", "library id"],
)
def test_wrong_value_is_answered_by_the_closest_one(
    words: list[str],
    meant: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variables = {"CONTEXT7_FABRIC_UPSTREAM": "off", "CONTEXT7_FABRIC_DAEMON": "off"}
    for name, text in product_environment(home, variables).items():
        monkeypatch.setenv(name, text)
    assert main(words) in (1, 2)
    assert f"did you mean '{meant}'?" in capsys.readouterr().err
