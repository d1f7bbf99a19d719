"""Texts in upstream's forms, in our own words, and where the recorded ones lie."""

from __future__ import annotations

from pathlib import Path

import pytest

RULE = "-" * 32
OLD_RULE = "-" * 40
BETWEEN = f"\n\n{RULE}\n\n"

CODE = """\
### Moor a boat

Source: https://harbour.example/guide/mooring

Ties a boat to the first free ring of a quay, and waits when there is none.

```python
quay.moor(boat, timeout=30)
```"""

TWO_FENCES = """\
### Open the harbour

Source: https://harbour.example/guide/opening

Opens the gates, from a shell or from code.

```bash
harbour open --gate north
```

```python
harbour.open(gate="north")

```"""

APIDOC = """\
### POST /berths

Source: https://harbour.example/api

Reserves a berth.

```APIDOC
## POST /berths

### Description
Reserves a berth for one night.

### Request Example
```json
{"boat": "Ida", "length": 9.5}
```

### Shell
```
harbour reserve Ida
```

### Response
#### Success Response (201)
- **number** (integer) - The berth.
```"""

INFO = """\
### Harbour > Tides

Source: https://harbour.example/concepts/tides

A berth dries out when the tide falls below its sill. Plan for the lowest tide of the stay."""

INFO_WITH_FENCE = """\
### Harbour > Lights

Source: https://harbour.example/concepts/lights

Lights follow the gates. The default is:

```toml
[lights]
north = "green"
```"""

DOCS = f"{CODE}{BETWEEN}{APIDOC}\n\n{INFO}{BETWEEN}{INFO_WITH_FENCE}"

OLD_BLOCK = """\
TITLE: Weigh a catch
DESCRIPTION: Puts the crates on the scale, one after the other.
It returns the sum.

SOURCE: https://harbour.example/old#_snippet_3

LANGUAGE: python
CODE:
```
scale.weigh(*crates)
```

LANGUAGE: bash
CODE:
```
weigh crates/*
```"""

OLD_DOCS = f"{OLD_BLOCK}\n\n{OLD_RULE}\n\n{OLD_BLOCK.replace('catch', 'crate')}"

ENTRY = """\
- Title: Harbour
- Context7-compatible library ID: /quay/harbour
- Description: Runs a small harbour: berths, tides and lights.
- Code Snippets: 412
- Source Reputation: High
- Benchmark Score: 86.3
- Versions: v2.1.0, v1.9.4
- Source: https://harbour.example"""

PLAIN_ENTRY = """\
- Title: Harbour Lights
- Context7-compatible library ID: /quay/lights
- Description: Lights only.
- Source Reputation: Unknown"""

TRUST_ENTRY = """\
- Title: Harbour
- Context7-compatible library ID: /quay/harbour
- Description: Runs a small harbour.
- Code Snippets: 18
- Trust Score: 7.5"""

LIST = f"Available Libraries:\n\n{ENTRY}\n----------\n{PLAIN_ENTRY}"

EXPLANATION = """\
Available Libraries (top matches):

Every entry has:
- Library ID: what to ask for
- Name: what it is called
- Versions: which there are

Take the one that fits best.

----------

"""

FILTER_NOTE = "**Note:** Only libraries that pass the filters of your team are shown."

README = """\
# Harbour

### Installing

Run `pip install harbour`.

### Source: where it is

See the repository.
"""


def shared(name: str) -> Path:
    """Return the path of recorded reference data, and skip the test where there is none."""
    path = Path(__file__).parents[3].parent / "shared" / name
    if not path.exists():
        pytest.skip(f"the reference data {name} does not lie beside the repository")
    return path
