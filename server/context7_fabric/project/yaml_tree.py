"""YAML as mappings, lists and strings, without what makes a small text large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from context7_fabric.errors import UnreadableProjectFile

LARGEST_YAML = 2_000_000
"""Characters that are read; the direct dependencies of a thousand packages have one million."""

DEEPEST = 16
"""Levels of nesting that are read."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast


def read_yaml(path: str, text: str) -> Any:  # noqa: ANN401  # as YAML says it
    """Return the first document of a text; every scalar is a string, so `1.10` stays `1.10`.

    Aliases are refused: a few lines of them expand to any size.

    Raises:
        UnreadableProjectFile: It is not YAML, has aliases, is too large, or nested too deeply.
    """
    if len(text) > LARGEST_YAML:
        raise UnreadableProjectFile(path, f"it lists more than {LARGEST_YAML // 1_000_000} MB")
    try:
        events = yaml.parse(text, Loader=_LOADER)
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                return _node(path, event, events, DEEPEST)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableProjectFile(path, "it is not YAML") from error
    return None


def _node(path: str, event: yaml.Event, events: Iterator[yaml.Event], levels: int) -> Any:  # noqa: ANN401  # as above
    if isinstance(event, yaml.ScalarEvent):
        return event.value
    if isinstance(event, yaml.AliasEvent):
        raise UnreadableProjectFile(path, "it has YAML aliases")
    if not levels:
        raise UnreadableProjectFile(path, f"it is nested more than {DEEPEST} deep")
    children = []
    while not isinstance(each := next(events), yaml.CollectionEndEvent):
        children.append(_node(path, each, events, levels - 1))
    if isinstance(event, yaml.SequenceStartEvent):
        return children
    pairs = zip(children[::2], children[1::2], strict=True)
    return {key: value for key, value in pairs if isinstance(key, str)}
