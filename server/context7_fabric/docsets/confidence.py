"""Confidence that a page answers its question."""

from __future__ import annotations

THRESHOLD = 0.4
"""Least confidence of a page that is served in place of upstream's answer."""
