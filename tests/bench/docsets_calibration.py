"""Calibration of the confidence with which a docset's page goes before Context7.

A logistic rule is fitted to what retrieval saw of each judged question. Right are the questions
that the documentation answers; the others are those that it does not answer, and, with a small
weight, each question asked of two other libraries. The confidence of a library's questions comes
from the rule that the other libraries make (leave one library out), and so do all figures; the
rule that is written is that of all. The threshold is the one with the greatest share served right
less WRONG times the share of wrong pages among those served, both as means over the libraries.

With --write the rule, the threshold and the figures go to `docsets/confidence.json`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bench.docsets_judged import (
    QUESTIONS,
    Judged,
    Seen,
    held_docsets,
    interval,
    macro,
    pooled,
    read_questions,
    served_right,
    served_wrong,
)
from bench.harness import Report, run
from context7_fabric.docsets import confidence
from context7_fabric.docsets.confidence import Evidence, Rule
from context7_fabric.docsets.index import DocsetIndex

FILE = Path(confidence.__file__).with_suffix(".json")
FOREIGN, FOREIGN_WEIGHT = 2, 0.15  # other libraries that a question is asked of, and its weight
RIDGE = 0.3  # pulls coefficients to zero: there are few questions
STEPS = 40
WRONG = 2.0  # shares served right that one wrong among those served costs
CURVE = tuple(each / 20 for each in range(1, 20))
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """Evidence of one question asked of one library, and whether that should be answered."""

    corpus: str
    evidence: Evidence
    is_answered: bool
    weight: float
    seen: Seen | None = None


def measure(options: argparse.Namespace) -> Report:
    """Fit, judge and, if it is asked for, write the rule."""
    questions = read_questions(options.data / QUESTIONS)
    with TemporaryDirectory(prefix="docsets-") as temporary:
        docsets = held_docsets(options.data, options.keep or Path(temporary), questions)
        examples = [*_own(questions, docsets), *_foreign(questions, docsets)]
    seen = left_out(examples)
    threshold = best_threshold(seen)
    rule = replace(fit(examples), threshold=threshold)
    chosen = [replace(each, threshold=threshold) for each in seen]
    report = _report(examples, chosen, rule)
    if options.write:
        FILE.write_text(json.dumps(_kept(rule, chosen), indent=1) + "\n", "utf-8")
    return report


def _own(questions: Sequence[Judged], docsets: dict[str, DocsetIndex]) -> list[Example]:
    examples = []
    for each in questions:
        found = docsets[each.corpus].retrieve(each.text)
        seen = Seen(each, found.page().text, 0.0, 0.0)
        examples.append(Example(each.corpus, found.evidence, each.is_answerable, 1.0, seen))
    return examples


def _foreign(questions: Sequence[Judged], docsets: dict[str, DocsetIndex]) -> list[Example]:
    """Return each question asked of the libraries that follow its own by name."""
    names = sorted(docsets)
    return [
        Example(
            corpus,
            docsets[corpus].retrieve(each.text).evidence,
            is_answered=False,
            weight=FOREIGN_WEIGHT,
        )
        for each in questions
        for step in range(1, FOREIGN + 1)
        for corpus in [names[(names.index(each.corpus) + step * 7) % len(names)]]
    ]


def fit(examples: Sequence[Example]) -> Rule:
    """Return the logistic rule with the greatest likelihood, by Newton's method."""
    rows = np.array([[1.0, *map(float, asdict(each.evidence).values())] for each in examples])
    answered = np.array([float(each.is_answered) for each in examples])
    weights = np.array([each.weight for each in examples])
    ridge = np.diag([1e-6] + [RIDGE] * (rows.shape[1] - 1))
    found: Floats = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        likely = 1 / (1 + np.exp(-rows @ found))
        slope = rows.T @ (weights * (answered - likely)) - ridge @ found
        curve = (rows * (weights * likely * (1 - likely))[:, None]).T @ rows + ridge
        found = found + np.linalg.solve(curve, slope)
    intercept, *coefficients = map(float, found)
    return Rule(intercept, tuple(coefficients), 0.5)


def left_out(examples: Sequence[Example]) -> list[Seen]:
    """Return the judgements with the confidence of a rule made without their library."""
    seen = []
    for corpus in sorted({each.corpus for each in examples}):
        rule = fit([each for each in examples if each.corpus != corpus])
        seen += [
            replace(each.seen, confidence=rule.confidence(each.evidence))
            for each in examples
            if each.corpus == corpus and each.seen is not None
        ]
    return seen


def best_threshold(seen: Sequence[Seen]) -> float:
    def worth(threshold: float) -> float:
        at = [replace(each, threshold=threshold) for each in seen]
        return macro(at, served_right) - WRONG * macro(at, served_wrong)

    return max(CURVE, key=worth)


def _report(examples: Sequence[Example], seen: Sequence[Seen], rule: Rule) -> Report:
    report = Report("Confidence of docsets", [f"{len(examples)} examples; left out by library."])
    table = report.table("Coefficients", "of", "value")
    values = (rule.intercept, *rule.coefficients)
    for name, value in zip(("intercept", *Evidence.__slots__), values, strict=True):
        table.add_row(name, f"{value:.3f}")
    heads = ("served right", "wrong of the served")
    curve = report.table("Curve, %", "threshold", *heads, *(f"{each}, pooled" for each in heads))
    for threshold in CURVE:
        at = [replace(each, threshold=threshold) for each in seen]
        figures = [by(at, what) for by in (macro, pooled) for what in (served_right, served_wrong)]
        mark = " (chosen)" if threshold == rule.threshold else ""
        curve.add_row(f"{threshold:.2f}{mark}", *(f"{100 * each:.1f}" for each in figures))
    return report


def _kept(rule: Rule, seen: Sequence[Seen]) -> dict[str, object]:
    names = Evidence.__slots__
    figures = {
        f"{what.__name__}, {by.__name__}": [
            round(by(seen, what), 3),
            *(round(each, 3) for each in interval(seen, partial(by, figure=what))),
        ]
        for by in (macro, pooled)
        for what in (served_right, served_wrong)
    }
    return {
        "source": "tests/bench/docsets_calibration.py --write; figures by leaving one library out",
        "questions": len(seen),
        "intercept": round(rule.intercept, 4),
        "coefficients": {
            name: round(value, 4) for name, value in zip(names, rule.coefficients, strict=True)
        },
        "threshold": rule.threshold,
        "figures, with 95 % intervals": figures,
    }


if __name__ == "__main__":
    data = {"type": Path, "required": True, "help": "folder of the judged questions and corpora"}
    keep = {"type": Path, "help": "folder in which the docsets are kept for the next run"}
    write = {"action": "store_true", "help": "write docsets/confidence.json"}
    sys.exit(run(__doc__, measure, data=data, keep=keep, write=write))
