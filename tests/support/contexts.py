"""The command `context` as a shell runs it, and what it tells as JSON."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from support.product import run_product


def context(
    *words: str, env: Mapping[str, str], typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `context` with these words."""
    return run_product("context", *words, env=env, typed=typed)


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def stored(env: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every context in GLOBAL."""
    return objects(context("list", "--json", env=env).stdout)
