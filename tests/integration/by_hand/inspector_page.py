"""Make the picture of the Inspector's page, connected to this server, that stands in `docs/`.

Run by hand, where Chromium is installed and playwright (any version; no part of the project) is
importable:

    PYTHONPATH=tests .venv/bin/python tests/integration/by_hand/inspector_page.py docs/inspector.png

The Inspector starts the server on stdio; behind it stands the real Context7 server in front of the
stand-in of its HTTP interface. Two calls are made, then GLOBAL is opened and subscribed to.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from support.client import talking
from support.context7_api import running_api
from support.inspector import inspector_program
from support.processes import spawn
from support.product import PROGRAM, product_environment
from support.upstreams import context7_http

SIZE = {"width": 1440, "height": 900}
ADDRESS = r"(http://127\.0\.0\.1:\d+\S+TOKEN=\S+)"
SECONDS = 30


def main(target: Path) -> int:
    """Write the picture to `target`."""
    with tempfile.TemporaryDirectory() as folder, running_api() as api, context7_http(api) as url:
        home = Path(folder)
        environment = product_environment(home / "home", {"CONTEXT7_FABRIC_UPSTREAM": url})
        with talking([PROGRAM], environment) as dialogue:
            dialogue.call("resolve-library-id", libraryName="fastapi", query="Test a WebSocket?")
            dialogue.call("query-docs", libraryId="/fastapi/fastapi", query="Test a WebSocket?")
        with spawn(_command(home, environment), _of_inspector(home)) as inspector:
            address = inspector.out.wait_for(ADDRESS, SECONDS)[1]
            _photograph(address, target)
    return 0


def _command(home: Path, environment: Mapping[str, str]) -> list[str]:
    own = {name: each for name, each in environment.items() if name.startswith("CONTEXT7_")}
    server = {"command": Path(PROGRAM).name, "args": [], "env": own}
    config = home / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"context7-fabric": server}}), encoding="utf-8")
    return [inspector_program(), "--web", "--config", str(config)]


def _of_inspector(home: Path) -> dict[str, str]:
    path = f"{Path(PROGRAM).parent}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(home), "BROWSER": "none"}


def _photograph(address: str, target: Path) -> None:
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        _connect(page)
        page.get_by_text("Resources", exact=True).first.click()
        page.get_by_text("Stored contexts: GLOBAL").click()
        page.get_by_role("button", name="Subscribe").first.click()
        page.get_by_text(re.compile("Subscriptions .1.")).wait_for()
        page.screenshot(path=target)
        browser.close()


def _connect(page: Page) -> None:
    page.get_by_text("Disconnected").wait_for()
    page.locator("input[type=checkbox]").first.click(force=True)
    page.get_by_text("Connected", exact=True).wait_for()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
