"""Documentation from the web: a real site on loopback, real TLS, and hostile responses."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest

from context7_fabric.docsets.ingestion import DocsetRequest, IngestionReport
from context7_fabric.docsets.library import DocsetLibrary
from context7_fabric.docsets.sources.fetching import fetch, latest_revision
from context7_fabric.docsets.sources.files import documents
from context7_fabric.docsets.sources.source import (
    Document,
    LlmsSource,
    Omitted,
    SourceBounds,
    SourceTree,
)
from context7_fabric.errors import (
    DocsetSourceError,
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from context7_fabric.settings.values import DocsetSettings
from support.names import changing_name
from support.site import Page, Site, site

BOUNDS = SourceBounds(seconds=20, idle=5, text_bytes=1_000_000)
LOCAL = DocsetSettings(private_addresses=True)
FULL = (
    "# Intro\nSource: {url}/docs/intro\n\nHello.\n\n# Setup\nSource: {url}/docs/setup\n\nWorld.\n"
)


@pytest.fixture(scope="module")
def running_site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
def web(running_site: Site) -> Site:
    """An empty site."""
    running_site.pages.clear()
    running_site.requests.clear()
    return running_site


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


async def fetched(
    web: Site,
    path: str,
    into: Path,
    bounds: SourceBounds = BOUNDS,
    settings: DocsetSettings = LOCAL,
) -> SourceTree:
    return await fetch(LlmsSource(f"{web.url}{path}"), into, bounds, lambda _line: None, settings)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def read(tree: SourceTree) -> dict[str, str]:
    found = list(documents(tree, BOUNDS))
    return {each.path: each.text for each in found if isinstance(each, Document)}


def left_out(tree: SourceTree) -> dict[str, str]:
    found = list(documents(tree, BOUNDS))
    return {each.path: each.reason for each in found if isinstance(each, Omitted)}


async def test_fetch_of_llms_full_reads_its_pages_with_their_addresses(
    web: Site, into: Path
) -> None:
    web.text("/llms-full.txt", FULL.format(url=web.url), etag='"one"')
    tree = await fetched(web, "/llms-full.txt", into)
    assert read(tree) == {
        "docs/intro": "# Intro\n\nHello.",
        "docs/setup": "# Setup\n\nWorld.",
    }
    assert tree.address == f"{web.url}/{{path}}"
    assert (tree.revision, tree.licence) == ('"one"', "unknown")


def test_docset_of_a_site_has_a_version_only_where_the_user_gave_it_and_until_it_changes(
    web: Site, tmp_path: Path
) -> None:
    """A site that was found for a library may be of any version, as may one after a change."""
    web.text("/llms-full.txt", FULL.format(url=web.url), etag='"one"')
    library = DocsetLibrary(tmp_path / "docsets", LOCAL)
    found = DocsetRequest(LlmsSource(f"{web.url}/llms-full.txt"), "/site/docs", "2.0")
    change = library.add(found, IngestionReport())
    assert change.docset.name == "/site/docs"
    assert "a site does not say its version" in change.note
    given = replace(found, is_claimed=True)
    claimed = library.add(given, IngestionReport()).docset
    assert claimed.name == "/site/docs@2.0"
    web.text("/llms-full.txt", FULL.format(url=web.url).replace("World", "Moon"), etag='"two"')
    kept, read_again = (
        library.refresh(each, IngestionReport()) for each in (claimed, change.docset)
    )
    assert (kept.is_new, read_again.is_new) == (False, True)
    assert "may not be of 2.0 any more" in kept.note
    assert library.add(given, IngestionReport()).is_new


async def test_fetch_over_tls_checks_the_name_of_the_certificate(
    tmp_path: Path, into: Path
) -> None:
    with site(tmp_path, "localhost") as secure:
        secure.text("/llms-full.txt", "# A\n\nText.")
        trusting = replace(LOCAL, environment={"SSL_CERT_FILE": str(secure.authority)})
        assert read(await fetched(secure, "/llms-full.txt", into, settings=trusting)) == {
            "llms-full.txt#a": "# A\n\nText."
        }
        with pytest.raises(SourceUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await fetched(secure, "/llms-full.txt", into, settings=LOCAL)
    with site(into, "other.example") as other:
        other.text("/llms-full.txt", "# A\n\nText.")
        other.url = other.url.replace("other.example", "localhost")
        trusting = replace(LOCAL, environment={"SSL_CERT_FILE": str(other.authority)})
        with pytest.raises(SourceUnavailable, match="not valid for 'localhost'"):
            await fetched(other, "/llms-full.txt", into, settings=trusting)


async def test_latest_revision_with_the_known_one_asks_for_changes_alone(
    web: Site, into: Path
) -> None:
    web.text("/llms-full.txt", FULL.format(url=web.url), etag='"one"')
    source = LlmsSource(f"{web.url}/llms-full.txt")
    tree = await fetched(web, "/llms-full.txt", into)
    assert await latest_revision(source, BOUNDS, LOCAL, known=tree.revision) == tree.revision
    assert web.requests[-1][1]["If-None-Match"] == '"one"'
    web.text("/llms-full.txt", "# New\n\nText.", etag='"two"')
    assert await latest_revision(source, BOUNDS, LOCAL, known=tree.revision) == '"two"'


async def test_latest_revision_without_validators_follows_the_text(web: Site, into: Path) -> None:
    web.text("/llms-full.txt", "# A\n\nOne.")
    source = LlmsSource(f"{web.url}/llms-full.txt")
    first = (await fetched(web, "/llms-full.txt", into)).revision
    assert await latest_revision(source, BOUNDS, LOCAL, known=first) == first
    web.text("/llms-full.txt", "# A\n\nTwo.")
    assert await latest_revision(source, BOUNDS, LOCAL, known=first) != first


async def test_fetch_of_llms_txt_reads_the_pages_of_its_own_host(web: Site, into: Path) -> None:
    web.text(
        "/llms.txt",
        "# P\n\n- [A](/a)\n- [B](/b.md)\n- [C](/c)\n- [D](/gone)\n- [X](https://example.org/x)\n"
        "- [E](/large)\n- [F](/elsewhere)\n",
    )
    web.text("/a.md", "# A")
    web.text("/b.md", "# B")
    web.pages["/c.md"] = Page(b"<!doctype html>", kind="text/html")
    web.pages["/c"] = Page(b"<!doctype html><p>", kind="text/plain")
    web.text("/large.md", "x" * 5001)
    web.redirect("/elsewhere.md", "https://example.org/x")
    web.redirect("/elsewhere", "https://example.org/x")
    bounds = replace(BOUNDS, file_bytes=5000)
    tree = await fetched(web, "/llms.txt", into, bounds)
    assert read(tree) == {"a": "# A", "b.md": "# B"}
    assert left_out(tree) == {
        f"{web.url}/c": "page: no text of this site",
        f"{web.url}/gone": "page: nothing there",
        f"{web.url}/large": "page: too large or too slow",
        f"{web.url}/elsewhere": "page: no text of this site",
    }
    source = LlmsSource(f"{web.url}/llms.txt")
    assert await latest_revision(source, bounds, LOCAL, known=tree.revision) == tree.revision
    web.text("/a.md", "# New")
    assert await latest_revision(source, bounds, LOCAL, known=tree.revision) != tree.revision


async def test_fetch_of_llms_full_that_holds_links_alone_reads_its_pages(
    web: Site, into: Path
) -> None:
    web.text("/llms-full.txt", "# P\n\n> Map.\n\n- [A](/a/): one\n- [B](/b/): two\n")
    web.text("/a.md", "# A")
    web.text("/b/", "# B")
    assert read(await fetched(web, "/llms-full.txt", into)) == {"a/": "# A", "b/": "# B"}


async def test_fetch_of_a_list_is_bounded_in_pages(web: Site, into: Path) -> None:
    web.text("/llms.txt", "".join(f"- [{at}](/{at}.md)\n" for at in range(9)))
    for at in range(9):
        web.text(f"/{at}.md", f"# {at}\n" + "x" * 100)
    tree = await fetched(web, "/llms.txt", into, replace(BOUNDS, pages=5))
    assert len(read(tree)) == 5
    assert len(web.asked) == 6
    assert left_out(tree)[f"{web.url}/8.md"] == "page: beyond the first 5"
    with pytest.raises(SourceTooLarge, match=r"more than 0\.0003 MB.*--max-size$"):
        await fetched(web, "/llms.txt", into, replace(BOUNDS, text_bytes=300, file_bytes=200))


async def test_fetch_of_a_list_that_is_not_whole_is_no_documentation(web: Site, into: Path) -> None:
    """A refresh that replaced documentation by half of it would be worse than none."""
    web.text("/llms.txt", "".join(f"- [{at}](/{at}.md)\n" for at in range(10)))
    for at in range(10):
        web.text(f"/{at}.md", f"# {at}\n" + "x" * 1000)
    web.pages["/3.md"] = Page(b"", status=503)
    tree = await fetched(web, "/llms.txt", into)
    assert left_out(tree) == {f"{web.url}/3.md": "page: no answer"}
    web.pages["/4.md"] = Page(b"", status=429)
    with pytest.raises(SourceUnavailable, match="2 of its 10 pages give no answer"):
        await fetched(web, "/llms.txt", into)
    with pytest.raises(SourceTooLarge, match=r"its pages take more than 0\.005 MB.*--max-size$"):
        await fetched(web, "/llms.txt", into, replace(BOUNDS, transfer_bytes=5000))


async def test_fetch_of_a_list_stops_asking_for_markdown_where_there_is_none(
    web: Site, into: Path
) -> None:
    web.text("/llms.txt", "".join(f"- [{at}](/{at})\n" for at in range(30)))
    for at in range(30):
        web.text(f"/{at}", f"# {at}")
    assert len(read(await fetched(web, "/llms.txt", into))) == 30
    assert sum(path.endswith(".md") for path in web.asked) < 10


async def test_fetch_of_pages_of_two_hosts_keeps_their_whole_addresses(
    web: Site, into: Path
) -> None:
    web.text("/llms-full.txt", f"{FULL.format(url=web.url)}\n# X\nSource: https://example.org/x\n")
    tree = await fetched(web, "/llms-full.txt", into)
    assert (tree.address, list(read(tree))) == (
        "{path}",
        [f"{web.url}/docs/intro", f"{web.url}/docs/setup", "https://example.org/x"],
    )


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:1/llms.txt",
        "https://127.0.0.1/llms.txt",
        "https://2130706433/llms.txt",
        "https://0x7f000001/llms.txt",
        "https://[::1]/llms.txt",
        "https://[::ffff:127.0.0.1]/llms.txt",
        "https://10.0.0.1/llms.txt",
        "https://192.168.0.1/llms.txt",
        "http://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/llms.txt",
        "file:///etc/passwd",
        "ftp://127.0.0.1/llms.txt",
        "//10.0.0.1/llms.txt",
        "https://",
    ],
)
async def test_fetch_never_follows_a_redirect_to_a_private_address(
    web: Site, into: Path, target: str
) -> None:
    web.redirect("/llms-full.txt", target)
    with pytest.raises(SourceRefused) as caught:
        await fetched(web, "/llms-full.txt", into)
    assert str(caught.value).isprintable()
    assert web.asked == ["/llms-full.txt"]


async def test_fetch_follows_a_redirect_on_the_same_site_and_none_for_ever(
    web: Site, into: Path
) -> None:
    web.redirect("/llms-full.txt", "/docs/llms-full.txt")
    web.text("/docs/llms-full.txt", "# A")
    assert list(read(await fetched(web, "/llms-full.txt", into))) == ["docs/llms-full.txt#a"]
    web.redirect("/llms-full.txt", "/llms-full.txt")
    with pytest.raises(SourceRefused, match="redirects without an end"):
        await fetched(web, "/llms-full.txt", into)


def endless(request: BaseHTTPRequestHandler) -> None:
    while True:
        request.wfile.write(b"x" * 65536)


def dripping(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"x")
    request.wfile.flush()
    request.rfile.read(1)


BOMB = gzip.compress(b"x" * 20_000_000)


@pytest.mark.parametrize(
    ("page", "bounds", "error", "reason"),
    [
        (Page(endless), BOUNDS, SourceTooLarge, "exceeds 1 MB.*--max-size$"),
        (
            Page(endless),
            replace(BOUNDS, transfer_bytes=100_000),
            SourceTooLarge,
            r"all pages together exceeds 0\.1 MB",
        ),
        (Page(dripping), replace(BOUNDS, idle=0.2), SourceUnavailable, "it took too long"),
        (
            Page(dripping),
            replace(BOUNDS, seconds=0.3),
            SourceTooLarge,
            r"0\.3 s.*; no option",
        ),
        (
            Page(BOMB, headers={"Content-Encoding": "gzip"}),
            BOUNDS,
            SourceTooLarge,
            "exceeds 1 MB",
        ),
        (
            Page(b"nonsense", headers={"Content-Encoding": "gzip"}),
            BOUNDS,
            SourceUnavailable,
            "gzip form is damaged",
        ),
        (
            Page(b"x", headers={"Content-Encoding": "br"}),
            BOUNDS,
            SourceUnavailable,
            "was not asked for",
        ),
        (
            Page(BOMB[:-9], headers={"Content-Encoding": "gzip"}),
            replace(BOUNDS, text_bytes=30_000_000),
            SourceUnavailable,
            "cut off",
        ),
        (Page(b"<p>", kind="text/html"), BOUNDS, SourceRefused, "it is 'text/html'"),
        (Page(b"\n<!DOCTYPE html>"), BOUNDS, SourceRefused, "it is HTML"),
        (Page(b"\0\1\2"), BOUNDS, SourceRefused, "it is binary"),
        (Page(b"%PDF", kind="application/pdf"), BOUNDS, SourceRefused, "application/pdf"),
        (Page(b"  \n"), BOUNDS, SourceNotFound, "no documentation"),
        (Page(b"", status=404), BOUNDS, SourceNotFound, "status 404"),
        (Page(b"", status=503), BOUNDS, SourceUnavailable, "status 503"),
        (Page(b"", status=429), BOUNDS, SourceUnavailable, "status 429"),
        (Page(b"", status=401), BOUNDS, SourceNotFound, "status 401"),
    ],
)
async def test_fetch_of_a_bad_response_raises_one_line_and_leaves_nothing(
    web: Site,
    into: Path,
    page: Page,
    bounds: SourceBounds,
    error: type[DocsetSourceError],
    reason: str,
) -> None:
    web.pages["/llms-full.txt"] = page
    began = monotonic()
    with pytest.raises(error, match=reason) as caught:
        await fetched(web, "/llms-full.txt", into, bounds)
    assert str(caught.value).isprintable()
    assert monotonic() - began < 10
    assert names(into) == []


async def test_fetch_connects_to_the_address_that_was_checked(
    web: Site, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = changing_name(monkeypatch, "rebind.test")
    web.text("/llms-full.txt", "# A")
    renamed = replace(web, url=web.url.replace("localhost", "rebind.test"))
    tree = await fetched(renamed, "/llms-full.txt", into)
    assert (tree.address, names) == (f"{renamed.url}/{{path}}", ["rebind.test"])
    assert web.requests[0][1]["Host"] == urlsplit(renamed.url).netloc


async def test_fetch_from_ones_own_network_needs_the_setting(web: Site, into: Path) -> None:
    web.text("/llms-full.txt", "# A")
    with pytest.raises(SourceRefused, match="PRIVATE_ADDRESSES"):
        await fetched(web, "/llms-full.txt", into, settings=DocsetSettings())
    assert web.asked == []


async def test_fetch_of_a_port_without_a_server_is_unavailable(into: Path) -> None:
    source = LlmsSource("http://127.0.0.1:1/llms.txt")
    with pytest.raises(SourceUnavailable, match="gives no answer"):
        await fetch(source, into, BOUNDS, lambda _line: None, LOCAL)


async def test_fetch_behind_a_proxy_asks_it(web: Site, into: Path) -> None:
    settings = DocsetSettings(environment={"HTTPS_PROXY": web.url})
    source = LlmsSource("https://name.invalid/llms-full.txt")
    with pytest.raises(SourceUnavailable, match=r"name\.invalid gives no answer"):
        await fetch(source, into, BOUNDS, lambda _line: None, settings)
    assert web.asked == ["name.invalid:443"]
