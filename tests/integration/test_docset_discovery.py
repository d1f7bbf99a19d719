"""`add` of an id or a name alone: the source is found in answers, shown and confirmed."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.docsets import QUAY
from support.forked import started
from support.listener import serving
from support.mcp_upstream import McpUpstream
from support.product import PROGRAM, product_environment, run_product
from support.site import Site, site

FULL = "# Quay\n\nQuay keeps ships.\n\n# Mooring\n\nCall `mooringLine(ship)` to moor a ship.\n"
TREE = "https://github.com/harbour/quay/blob/main/docs"
ELSEWHERE = "https://github.com/another/place/blob/main/docs"
LIST = (
    "Available Libraries:\n\n- Title: Quay\n- Context7-compatible library ID: /harbour/quay\n"
    "- Description: Keeps ships.\n- Code Snippets: 10"
)

pytestmark = pytest.mark.either_mode


class SourcedUpstream(McpUpstream):
    """Upstream whose answers have snippets of some addresses."""

    sources: tuple[str, ...] = ()

    def _called(self, params: dict[str, Any]) -> dict[str, Any]:
        text = LIST
        if params["name"] == "query-docs":
            snippets = [
                f"### Start {number}\n\nSource: {source}\n\nUse it.\n\n```py\nrun()\n```"
                for number, source in enumerate(self.sources)
            ]
            text = f"\n\n{'-' * 32}\n\n".join(snippets)
        return {"result": {"content": [{"type": "text", "text": text}]}}


@pytest.fixture
def upstream() -> Iterator[SourcedUpstream]:
    upstream = SourcedUpstream()
    with serving(upstream) as port:
        upstream.url = f"http://127.0.0.1:{port}/mcp"
        yield upstream


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with site(folder, "localhost") as running:
        yield running


def environment(home: Path, upstream: SourcedUpstream, **more: str) -> dict[str, str]:
    variables = {
        "CONTEXT7_FABRIC_UPSTREAM": upstream.url,
        "CONTEXT7_FABRIC_DOCSETS_PRIVATE_ADDRESSES": "on",
    }
    return product_environment(home, variables | more)


def test_a_site_that_answers_come_from_is_read_once_it_is_confirmed(
    home: Path, upstream: SourcedUpstream, web: Site
) -> None:
    web.text("/llms-full.txt", FULL)
    upstream.sources = (f"{web.url}/guide", f"{web.url}/api")
    named = environment(home, upstream, SSL_CERT_FILE=str(web.authority))
    asked = run_product("add", "/websites/quay", env=named)
    assert (asked.returncode, asked.stdout) == (2, "")
    line = f"context7-fabric add {web.url}/llms-full.txt --id /websites/quay"
    assert asked.stderr.rstrip().endswith(f"type: {line}")
    assert asked.stderr.count("\n") == 1
    done = run_product("add", "/websites/quay", "--yes", "--json", env=named)
    added = json.loads(done.stdout)
    assert (added["name"], added["snippets"]) == ("/websites/quay", 2)
    assert added["source"] == f"{web.url}/llms-full.txt"


def test_a_name_is_looked_up_and_filed_under_the_id_that_look_ups_return(
    home: Path, upstream: SourcedUpstream
) -> None:
    upstream.sources = (f"{ELSEWHERE}/a.md", f"{ELSEWHERE}/b.md")
    asked = run_product("add", "quay", "--version", "1.2", env=environment(home, upstream))
    assert (asked.returncode, asked.stdout) == (2, "")
    source = "git+https://github.com/another/place --path docs"
    line = f"context7-fabric add {source} --id {QUAY} --version 1.2"
    assert asked.stderr.rstrip().endswith(f"type: {line}")


def test_what_an_installed_package_names_is_taken_without_asking(
    home: Path, upstream: SourcedUpstream, web: Site, tmp_path: Path
) -> None:
    web.text("/llms-full.txt", FULL)
    upstream.sources = (f"{web.url}/guide", f"{web.url}/api")
    metadata = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages" / "quay-1.2.dist-info"
    metadata.mkdir(parents=True)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("")
    (metadata / "METADATA").write_text(f"Name: quay\nProject-URL: Documentation, {web.url}\n")
    named = environment(home, upstream, SSL_CERT_FILE=str(web.authority), VIRTUAL_ENV="")
    done = run_product("add", "quay", "--json", env=named, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == QUAY


def test_a_name_that_is_no_librarys_ends_with_1(home: Path, upstream: SourcedUpstream) -> None:
    done = run_product("add", "no-such-name", env=environment(home, upstream))
    assert (done.returncode, done.stdout) == (1, "")
    assert QUAY in done.stderr


def test_nothing_is_looked_for_while_upstream_is_off(home: Path) -> None:
    off = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    done = run_product("add", QUAY, "--yes", env=off)
    assert (done.returncode, done.stdout) == (2, "")
    assert "CONTEXT7_FABRIC_UPSTREAM=off" in done.stderr


def test_on_a_terminal_it_asks_and_no_adds_nothing(home: Path, upstream: SourcedUpstream) -> None:
    upstream.sources = (f"{ELSEWHERE}/a.md", f"{ELSEWHERE}/b.md")
    keyboard, end = pty.openpty()
    pipe = subprocess.PIPE
    words = [PROGRAM, "add", QUAY]
    with started(
        words, environment(home, upstream), stdin=end, stdout=pipe, stderr=pipe
    ) as process:
        os.close(end)
        os.write(keyboard, b"n\n")
        out, err = process.communicate(timeout=30)
    os.close(keyboard)
    assert (process.returncode, out) == (1, b"")
    assert b"git+https://github.com/another/place --path docs" in err
    assert f"Add this as the documentation of {QUAY}? [y/N]".encode() in err
    assert b"Nothing was added." in err
    assert not list(home.glob("docsets/*.sqlite"))
