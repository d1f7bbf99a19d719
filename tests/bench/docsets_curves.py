"""Curves of the docsets' results as SVG, from the tables of `results/docsets.md`.

    PYTHONPATH=tests .venv/bin/python tests/bench/docsets_curves.py

One shows right pages and all facts by the length of a page, the other the share served right and
the share of wrong pages among those served, by the threshold of the confidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "docsets.md"
DOCS = Path(__file__).parents[2] / "docs"
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 52, 36, 150, 44
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Axis with its label, its range and the marks on it."""

    label: str
    least: float
    most: float
    marks: Sequence[float]

    def share(self, value: float) -> float:
        """Return the place of a value on the axis, from 0 to 1."""
        return (value - self.least) / (self.most - self.least)


def main() -> None:
    """Write both curves."""
    lines = RESULTS.read_text("utf-8").splitlines()
    lengths = [row for row in table(lines, "Pages by length, %") if row[0][0].isdigit()]
    across = Axis("tokens of a page at most", 1_500, 5_200, (1_700, 2_500, 3_500, 5_000))
    shown = {"right": points(lengths, 6), "all facts": points(lengths, 7)}
    upright = Axis("% of the questions", 70, 100, (70, 80, 90, 100))
    _write("docsets-length.svg", chart("Pages by length", across, upright, shown))
    curve = table(lines, "Curve, %")
    across = Axis("threshold of the confidence", 0, 1, (0, 0.25, 0.5, 0.75, 1))
    shown = {"served right": points(curve, 1), "wrong of the served": points(curve, 2)}
    upright = Axis("%, mean of the libraries", 0, 100, (0, 25, 50, 75, 100))
    _write("docsets-confidence.svg", chart("Pages by confidence", across, upright, shown))


def _write(name: str, text: str) -> None:
    (DOCS / name).write_text(text, "utf-8")


def table(lines: Sequence[str], title: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    start = lines.index(f"## {title}") + 2
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def points(rows: Sequence[Sequence[str]], column: int) -> Points:
    """Return the points of a column over the first one."""
    return [(float(row[0].split()[0].replace(",", "")), float(row[column])) for row in rows]


def chart(title: str, across: Axis, upright: Axis, shown: Mapping[str, Points]) -> str:
    """Return a line chart; each line has its name at its right end."""
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            f' font-family="sans-serif" font-size="12"><title>{title}</title>'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{title}</text>',
    ]
    low, high = _x(0), _x(1)
    for mark in upright.marks:
        y = _y(upright.share(mark))
        parts.append(f'<path d="M{low:.0f} {y:.0f}H{high:.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{low - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{mark:g}</text>')
    for mark in across.marks:
        x = _x(across.share(mark))
        parts.append(
            f'<text x="{x:.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">{mark:,g}</text>'
        )
    parts.append(f'<text x="{low:.0f}" y="{HEIGHT - 8}">{across.label}; {upright.label}</text>')
    for (name, line), colour in zip(shown.items(), COLOURS, strict=False):
        at = [(_x(across.share(x)), _y(upright.share(y))) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = at[-1]
        parts.append(f'<text x="{x + 6:.0f}" y="{y + 4:.0f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


if __name__ == "__main__":
    main()
