"""What using Context7 taught: which library a name stands for, and where an id moved to."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from context7_fabric.documents.keys import bounded
from context7_fabric.fabric.context import Context
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.fabric.firsts import first_of
from context7_fabric.fabric.steady import Revision, Steady
from context7_fabric.principals import owned

MOST_MOVES = 3
"""How many redirects in a row are followed before upstream's own word is passed on."""

MOST_LATELY = 512
"""How many ids, with where they lead, and choices are kept in memory until something is stored."""


class Learned:
    """Choices and moves, kept in the fabric's GLOBAL scope."""

    def __init__(self, fabric: Fabric) -> None:
        """Remember in `fabric`."""
        self._fabric = fabric
        self._lately = Steady[str](fabric.revision, MOST_LATELY)
        self._choices = Steady[str](fabric.revision, MOST_LATELY)

    async def choose(self, name_key: str, library_id: str, principal: str) -> None:
        """Remember that `principal` means the library `library_id` (no version) by a name."""
        if await self.choice([name_key], principal) != library_id:
            await self._fabric.set_context(
                _choice(name_key, principal), library_id, disposable=True
            )

    async def choice(self, name_keys: Sequence[str], principal: str) -> str | None:
        """Return the id that `principal` means by the first of several names that has a choice.

        None while nobody knows.
        """
        as_of = self._choices.revision()
        known = self._choices.get((name_keys[0], principal)) if name_keys else None
        return known or await self._chosen(name_keys, principal, as_of)

    async def _chosen(
        self, name_keys: Sequence[str], principal: str, as_of: Revision | None
    ) -> str | None:
        names = {_choice(name, principal): name for name in name_keys}

        def read(context: Context) -> str | None:
            known = context.value if isinstance(context.value, str) else None
            if known is not None:
                self._choices.keep((names[context.key], principal), known, as_of)
            return known

        return await first_of(self._fabric, list(names), read)

    def is_chosen(self, name_key: str, library_id: str, principal: str) -> bool:
        """Tell whether `choose` would store nothing, as far as memory alone knows."""
        self._choices.revision()
        return self._choices.get((name_key, principal)) == library_id

    async def forget(self, name_key: str, principal: str) -> bool:
        """Forget what `principal` means by a name; tell whether it was known.

        Raises:
            StoreError: It could not be removed.
        """
        return await self._fabric.delete_context(_choice(name_key, principal))

    async def move(self, old: str, new: str, principal: str) -> None:
        """Remember that upstream redirects the id `old` to `new`, as told to `principal`."""
        await self._fabric.set_context(_move(old, principal), new, disposable=True)

    async def moved(self, library_id: str, principal: str) -> str:
        """Return where `library_id` leads by the moves known to `principal`, itself by none."""
        as_of, key = self._lately.revision(), (library_id, principal)
        known = self._lately.get(key)
        if known is None:
            known = await self._followed(library_id, principal)
            self._lately.keep(key, known, as_of)
        return known

    def moved_at_hand(self, library_id: str, principal: str) -> str | None:
        """Return what `moved` would, None where that is not in memory."""
        self._lately.revision()
        return self._lately.get((library_id, principal))

    async def _followed(self, library_id: str, principal: str) -> str:
        for _hop in range(MOST_MOVES):
            target = await self._text(_move(library_id, principal))
            if target is None:
                break
            library_id = target
        return library_id

    async def _text(self, key: str) -> str | None:
        context = await self._fabric.get_context(key)
        return context.value if context and isinstance(context.value, str) else None


def _choice(name_key: str, principal: str) -> str:
    quoted = quote(name_key, safe="@/+.|:", errors="surrogatepass")
    return owned(bounded(f"choice:{quoted}"), principal)


def _move(library_id: str, principal: str) -> str:
    return owned(bounded(f"move:{library_id}"), principal)
