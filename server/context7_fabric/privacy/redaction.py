"""What must not leave the machine in a question: secrets, and paths that name a person. Pure.

A replaced part reads `[kind]`, so that the question stays one. Patterns follow the issuers' own
published key formats.
"""

from __future__ import annotations

import re

_API_KEYS = (
    r"\bctx7sk[-_][A-Za-z0-9-]{8,}",
    r"\bsk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{16,}",
    r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{10,}",
    r"\bwhsec_[A-Za-z0-9]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}",
    r"\bgithub_pat_[A-Za-z0-9_]{20,}",
    r"\bglpat-[A-Za-z0-9_-]{16,}",
    r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    r"\bAIza[A-Za-z0-9_-]{30,}",
    r"\bya29\.[A-Za-z0-9_-]{20,}",
    r"\bhf_[A-Za-z0-9]{20,}",
    r"\bnpm_[A-Za-z0-9]{30,}",
    r"\bpypi-[A-Za-z0-9_-]{30,}",
    r"\blsv2_[a-z]{2}_[A-Za-z0-9_]{20,}",
    r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"\bkey-[a-f0-9]{32}\b",
    r"\bdop_v1_[a-f0-9]{32,}",
)
_PASSWORDS = (
    r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)",
    *(
        rf"(?i:(?<=\b{name}[=:])|(?<=\b{name}: ))(?=[^\s&;,]*\d)[^\s&;,\"'\[\]()]{{6,}}"
        for name in ("password", "passwd", "secret", "api_key", "apikey", "access_token")
    ),
)
_KEY_BLOCK = r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_KINDS = {
    "private_key": _KEY_BLOCK,
    "bearer_token": r"(?i:(?<=\bbearer ))[A-Za-z0-9._~+/-]{16,}=*",
    "jwt": r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    "api_key": "|".join(_API_KEYS),
    "password": "|".join(_PASSWORDS),
    "home": r"(?:/home/|/Users/)[^\s/\"':]+|\b[A-Za-z]:\\Users\\[^\s\\\"':]+|/root(?=/)",
}
_PATTERN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))


MOST_CLEAN = 512
LONGEST_CLEAN = 1_000
"""How many texts without a secret are remembered, and of how many characters."""

clean_texts: set[str] = set()
"""Texts that were searched already and hold nothing; when it is full, it is emptied."""


def redact(text: str) -> str:
    """Return `text` with each secret and home folder replaced by its kind in brackets."""
    if text in clean_texts:
        return text
    redacted = _PATTERN.sub(_kind, text)
    if redacted == text and len(text) <= LONGEST_CLEAN:
        if len(clean_texts) >= MOST_CLEAN:
            clean_texts.clear()
        clean_texts.add(text)
    return redacted


def _kind(match: re.Match[str]) -> str:
    kind = (match.lastgroup or "secret").replace("_", "-")
    return "~" if kind == "home" else f"[{kind}]"
