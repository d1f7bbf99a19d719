"""Confidence that a docset answers a question; pure.

A logistic rule over seven things that retrieval saw. `tests/bench/docsets_calibration.py` fits it,
chooses the threshold and writes both into `confidence.json` with the figures of that choice.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

_DIGITS = range(2, 22)
"""Digits of a confidence in messages; doubles from 0.001 to 1 differ in the first twenty."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Signs that a docset answers a question, without the words that name the library.

    `held` is the greatest share of the question's words, by weight, that one of the first snippets
    holds, `counted` the same by number, `headed` the greatest share that one's headings hold;
    `words` is the number of words: a snippet seldom holds all of a long question. `strength` is the
    greatest BM25 by the greatest that there could be: a mention has less than an explanation.
    `named` is the share of the names among the words, such as `uvloop.run` or `XCTest`, that the
    first snippets hold; `gathered` the greatest share of these snippets in one document.
    """

    held: float
    counted: float
    headed: float
    words: int
    strength: float
    named: float
    gathered: float


@dataclass(frozen=True, slots=True)
class Rule:
    """Logistic rule: the intercept, and a coefficient for each field of `Evidence` in its order."""

    intercept: float
    coefficients: tuple[float, ...]
    threshold: float

    def confidence(self, evidence: Evidence) -> float:
        """Return the confidence, from 0 to 1, that the docset answers the question."""
        if not evidence.held:
            return 0.0
        values = [getattr(evidence, each.name) for each in fields(evidence)]
        products = zip(self.coefficients, values, strict=True)
        return 1 / (1 + math.exp(-self.intercept - sum(by * value for by, value in products)))


def compared(confidence: float, threshold: float) -> str:
    """Return a confidence beside the threshold, with as many digits as tell the two apart."""
    pairs = (_written(confidence, threshold, digits) for digits in _DIGITS)
    differing = (pair for pair in pairs if pair[0] != pair[1])
    own, needed = next(differing, _written(confidence, threshold, _DIGITS[0]))
    return f"confidence {own}, {needed} needed"


def _written(confidence: float, threshold: float, digits: int) -> tuple[str, str]:
    return f"{confidence:.{digits}f}", f"{threshold:.{digits}f}"


def _read_rule() -> Rule:
    kept: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
    coefficients = tuple(float(kept["coefficients"][each.name]) for each in fields(Evidence))
    return Rule(float(kept["intercept"]), coefficients, float(kept["threshold"]))


RULE = _read_rule()

THRESHOLD = RULE.threshold
"""Least confidence of a page that is served in place of upstream's answer."""
