"""The book of prompts: those stored in the fabric, and those that ship with the package.

Stored ones lie in GLOBAL under `prompt:NAME`, a router's under `router:NAME:system_message`. They
are read anew each time, so a changed one counts from the next reading on.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from anyio import to_thread

from context7_fabric.errors import SeedError
from context7_fabric.fabric.context import Context, Json, Scope
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import Viewer
from context7_fabric.seed_files import PromptSeed
from context7_fabric.views.visibility import visible

_SIGN = re.compile(r"\{\{|\}\}|\{[A-Za-z_][A-Za-z0-9_]*\}")


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the placeholders in `text`, each once, in their order."""
    signs = (sign for sign, is_sign in _parts(text) if is_sign)
    return tuple(dict.fromkeys(signs))


def filled(text: str, values: Mapping[str, str], most: int) -> str | None:
    """Return `text` with the values in place of their names, None when it gets too long.

    `most` is in characters. Braces in a value are left alone.

    Raises:
        KeyError: A placeholder has no value.
    """
    parts = [values[part] if is_sign else part for part, is_sign in _parts(text)]
    return "".join(parts) if sum(map(len, parts)) <= most else None


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text piece by piece; True marks the name of a placeholder."""
    opened = end = 0
    for match in _SIGN.finditer(text):
        yield text[end : match.start()], False
        end, sign = match.end(), match[0]
        if sign == "{{":
            opened += 1
            yield "{", False
        elif sign == "}}":
            yield "}" if opened else sign, False
            opened = max(0, opened - 1)
        else:
            yield sign[1:-1], True
    yield text[end:], False


log = logging.getLogger(__name__)

PROMPTS = "prompt:"
ROUTERS = "router:"
PAGE = 100
"""Prompts on one page of the list."""

LONGEST = 100_000
"""Bytes that a prompt's text may take, to be given out."""

_ROUTER = re.compile(r"router:.+:system_message", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PromptArgument:
    """What a prompt wants to be told; its description may be empty."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with placeholders, one for each of `arguments`."""

    name: str
    text: str
    description: str
    arguments: tuple[PromptArgument, ...]
    title: str | None = None
    version: str | None = None

    @property
    def size(self) -> int:
        """How many bytes the text takes."""
        return len(self.text.encode())


class PromptLibrary:
    """The prompts that one principal may see."""

    def __init__(
        self, fabric: Fabric, viewer: Viewer, shipped: Callable[[], Sequence[PromptSeed]]
    ) -> None:
        """Read stored prompts from `fabric`; `shipped` may block, and is asked once, when needed.

        A file of shipped prompts that cannot be used is logged and left out.
        """
        self._fabric = fabric
        self._viewer = viewer
        self._load = shipped
        self._shipped: dict[str, Prompt] | None = None

    async def page(self, after: str | None = None) -> tuple[list[Prompt], str | None]:
        """Return the next prompts by name, those behind `after`; and the name to go on behind."""
        names = [name for name in await self._names() if after is None or name > after]
        page = names[:PAGE]
        found = await self._found(page)
        listed = [found[name] for name in page if name in found]
        return listed, page[-1] if len(names) > PAGE else None

    async def find(self, name: str) -> Prompt | None:
        """Return the prompt called `name`, a stored one before one that ships."""
        return (await self._found([name])).get(name)

    async def _names(self) -> list[str]:
        prompts = await self._fabric.keys(Scope.GLOBAL, PROMPTS)
        routers = filter(_ROUTER.fullmatch, await self._fabric.keys(Scope.GLOBAL, ROUTERS))
        stored = {key.removeprefix(PROMPTS) for key in prompts} - {""}
        return sorted(stored.union(routers, await self._by_name()))

    async def _found(self, names: Iterable[str]) -> dict[str, Prompt]:
        names = [name for name in names if name]
        keys = [PROMPTS + name for name in names]
        keys += filter(_ROUTER.fullmatch, names)
        stored: dict[str, Prompt] = {}
        for context in await self._fabric.get_many(keys):
            if visible(context, self._viewer.principal, self._viewer.owner):
                prompt = _stored(context)
                stored.setdefault(prompt.name, prompt)
        shipped = await self._by_name()
        return {name: shipped[name] for name in names if name in shipped} | stored

    async def _by_name(self) -> dict[str, Prompt]:
        """Return the prompts that ship."""
        if self._shipped is None:
            self._shipped = await to_thread.run_sync(self._loaded)
        return self._shipped

    def _loaded(self) -> dict[str, Prompt]:
        try:
            return {seed.name: _shipped(seed) for seed in self._load()}
        except SeedError as error:
            log.warning("the shipped prompts are left out: %s", error)
            return {}


def _shipped(seed: PromptSeed) -> Prompt:
    arguments = _arguments(seed.text, dict(seed.arguments))
    return Prompt(seed.name, seed.text, seed.description, arguments, seed.title)


def _stored(context: Context) -> Prompt:
    name, told = context.key.removeprefix(PROMPTS), context.metadata
    text = _sendable(_text(context.value))
    return Prompt(
        name=name,
        text=text,
        description=_word(told.get("description")) or f"The stored prompt {name}.",
        arguments=_arguments(text, told.get("arguments")),
        title=_word(told.get("title")),
        version=_word(told.get("version")) or str(context.version),
    )


def _arguments(text: str, described: Json) -> tuple[PromptArgument, ...]:
    """Return an argument for each placeholder, with what `described` says of it by its name."""
    said = described if isinstance(described, dict) else {}
    return tuple(PromptArgument(name, _word(said.get(name)) or "") for name in placeholders(text))


def _word(value: Json) -> str | None:
    """Return what the metadata say if that is a text or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return _sendable(str(value)).strip() or None


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _sendable(text: str) -> str:
    """Return `text` with a question mark for each lone surrogate, which no message can carry."""
    return text.encode("utf-8", "replace").decode()
