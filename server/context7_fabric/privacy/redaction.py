"""Redaction of secrets and home folders in texts that leave the machine. Pure.

A redacted part becomes `[kind]`, so that a question stays a question. The patterns follow the
published key formats of the issuers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple


class _Rule(NamedTuple):
    """A pattern, and a text in lower case that is part of all its matches."""

    kind: str
    sign: str
    pattern: str


_IN_URL = r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"
_AFTER_NAME = r"(?i:(?<=\b{0}[=:])|(?<=\b{0}: ))(?=[^\s&;,]*\d)[^\s&;,\"'\[\]()]{{6,}}"
_RULES = (
    _Rule(
        "private_key",
        "-----begin ",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    ),
    _Rule("bearer_token", "bearer ", r"(?i:(?<=\bbearer ))[A-Za-z0-9._~+/-]{16,}=*"),
    _Rule("jwt", "eyj", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    *(
        _Rule("api_key", sign, pattern)
        for sign, pattern in (
            ("ctx7sk", r"\bctx7sk[-_][A-Za-z0-9-]{8,}"),
            ("sk-", r"\bsk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{16,}"),
            ("k_live_", r"\b[sr]k_live_[A-Za-z0-9]{10,}"),
            ("k_test_", r"\b[sr]k_test_[A-Za-z0-9]{10,}"),
            ("whsec_", r"\bwhsec_[A-Za-z0-9]{10,}"),
            ("akia", r"\bAKIA[A-Z0-9]{16}\b"),
            ("asia", r"\bASIA[A-Z0-9]{16}\b"),
            *((f"gh{letter}_", rf"\bgh{letter}_[A-Za-z0-9]{{20,}}") for letter in "pousr"),
            ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{20,}"),
            ("glpat-", r"\bglpat-[A-Za-z0-9_-]{16,}"),
            ("xox", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
            ("aiza", r"\bAIza[A-Za-z0-9_-]{30,}"),
            ("ya29.", r"\bya29\.[A-Za-z0-9_-]{20,}"),
            ("hf_", r"\bhf_[A-Za-z0-9]{20,}"),
            ("npm_", r"\bnpm_[A-Za-z0-9]{30,}"),
            ("pypi-", r"\bpypi-[A-Za-z0-9_-]{30,}"),
            ("lsv2_", r"\blsv2_[a-z]{2}_[A-Za-z0-9_]{20,}"),
            ("sg.", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
            ("key-", r"\bkey-[a-f0-9]{32}\b"),
            ("dop_v1_", r"\bdop_v1_[a-f0-9]{32,}"),
        )
    ),
    _Rule("password", "://", _IN_URL),
    *(
        _Rule("password", sign, _AFTER_NAME.format(name))
        for sign, name in (
            ("password", "password"),
            ("passwd", "passwd"),
            ("secret", "secret"),
            ("key", "api_key"),
            ("key", "apikey"),
            ("access_token", "access_token"),
        )
    ),
    *(
        _Rule("home", sign, pattern)
        for sign, pattern in (
            ("/home/", r"/home/[^\s/\"':]+"),
            ("/users/", r"/Users/[^\s/\"':]+"),
            (r":\users", r"\b[A-Za-z]:\\Users\\[^\s\\\"':]+"),
            ("/root/", r"/root(?=/)"),
        )
    ),
)


_KINDS = tuple(dict.fromkeys(rule.kind for rule in _RULES))
_MARKS = {
    mark: tuple(rule for rule in _RULES if mark == next((c for c in "_-/" if c in rule.sign), ""))
    for mark in ("", "_", "-", "/")
}
"""The rules by a character of their signs: most texts have few of these characters."""


def redact(text: str, *, homes: bool = True) -> str:
    """Return `text` with each secret replaced by its kind in brackets, home folders by `~`.

    Without `homes` these stay, for a text that does not leave the machine.
    """
    folded = text.casefold()
    rules = [
        rule
        for mark, marked in _MARKS.items()
        if mark in folded
        for rule in marked
        if rule.sign in folded and (homes or rule.kind != "home")
    ]
    return _combined(tuple(rules)).sub(_tag, text) if rules else text


@lru_cache(maxsize=64)
def _combined(rules: tuple[_Rule, ...]) -> re.Pattern[str]:
    """Return one pattern for `rules`, with a group for each kind, in the order of the kinds."""
    patterns = {kind: [rule.pattern for rule in rules if rule.kind == kind] for kind in _KINDS}
    return re.compile(
        "|".join(f"(?P<{kind}>{'|'.join(each)})" for kind, each in patterns.items() if each)
    )


def _tag(match: re.Match[str]) -> str:
    kind = (match.lastgroup or "secret").replace("_", "-")
    return "~" if kind == "home" else f"[{kind}]"
