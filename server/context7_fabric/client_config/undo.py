"""Records of changed files, and their undoing.

A record is a small file in the home (mode 0600): the path, the entries that were set, the digests
before and after, and the path of the backup beside the file. It holds no part of the file, so that
no key gets into the home. A file that is as it was left gets its bytes back; of one that was
changed since, our entry alone is cut, and the entry that it replaced is put back from the backup.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from context7_fabric.client_config.clients import CLIENTS, McpClient
from context7_fabric.client_config.context7_entry import recognise
from context7_fabric.client_config.edit import (
    FileContent,
    back_up,
    check_unchanged,
    check_writable,
    read_file,
    replace_file,
)
from context7_fabric.client_config.entries import FilePlan, parse
from context7_fabric.client_config.jsonc import JsonText
from context7_fabric.client_config.rules import has_rule, is_about_context7, without_rule
from context7_fabric.client_config.toml_entry import TomlText
from context7_fabric.errors import ClientFileError, ConfigurationSyntaxError
from context7_fabric.relay.folders import make_home, make_private

_FOLDER: Final = "client_config"
_PATIENCE_SECONDS: Final = 30.0
_LARGEST: Final = 1_000_000
"""Bytes of a record that are read."""


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """A file that was changed; `before` and `after` are digests.

    `places` has the path of each entry; it is empty for a file that got the rule. `before` is None
    for a file that was made, and `after` None once the file cannot be given back as a whole,
    because the user changed it between two changes of ours. `folders` counts the folders that were
    made for the file.
    """

    path: str
    client: str
    places: tuple[tuple[str, ...], ...]
    backup: str | None
    before: str | None
    after: str | None
    folders: int = 0


def write_change(
    client: McpClient, content: FileContent, plan: FilePlan, home: Path, now: datetime
) -> Path | None:
    """Back a file up, record the change, and write it; return the path of the backup.

    Raises:
        ClientFileError: A file cannot be written; the client's is as it was.
    """
    check_writable(content)
    if plan.placed:
        parse(content.encoded(plan.text).decode("utf-8-sig"), client.dialect)
    with _turn(home):
        check_unchanged(content)
        return _written(client, content, plan, home, now)


def _written(
    client: McpClient, content: FileContent, plan: FilePlan, home: Path, now: datetime
) -> Path | None:
    data = content.encoded(plan.text)
    backup = back_up(content, now)
    record = ChangeRecord(
        str(content.path),
        client.name,
        tuple((*each.container, each.name) for each in plan.placed),
        str(backup) if backup else None,
        _digest(content.data),
        _digest(data),
        sum(not folder.exists() for folder in content.target.parents),
    )
    previous = _read_record(_record_path(home, content.path))
    record = _continued(record, previous, content)
    try:
        _write_record(home, record)
        replace_file(content, data)
    except ClientFileError:
        _forget(home, content.path, previous)
        if backup:
            backup.unlink(missing_ok=True)
        raise
    return backup


def records(home: Path) -> Iterator[ChangeRecord]:
    """Yield the records of the home, by path."""
    with suppress(OSError):
        found = map(_read_record, (home / _FOLDER).glob("*.json"))
        yield from sorted((each for each in found if each), key=lambda each: each.path)


def undo(record: ChangeRecord, home: Path) -> str:
    """Take a change back; return one line about the outcome.

    Raises:
        ClientFileError: The file cannot be read or written; it is as it was.
    """
    with _turn(home):
        return _undone(record, home)


def _undone(record: ChangeRecord, home: Path) -> str:
    content = read_file(Path(record.path))
    if content.data is None:
        outcome = "is gone, so there is nothing to undo"
    elif _digest(content.data) == record.before:
        outcome = "is as it was before"
    else:
        check_writable(content)
        outcome = _restored_whole(record, content) or _restored_entry(record, content)
    _forget(home, content.path, None)
    return outcome


def _restored_whole(record: ChangeRecord, content: FileContent) -> str | None:
    """Give a file its bytes back if it is as it was left; None if it is not."""
    if record.after is None or _digest(content.data) != record.after:
        return None
    if record.before is None:
        return _removed(record, content)
    data = _backed_up(record)
    if data is None:
        return None
    replace_file(content, data)
    Path(record.backup or "").unlink(missing_ok=True)
    return "is as it was before"


def _restored_entry(record: ChangeRecord, content: FileContent) -> str:
    """Cut our part of a file, and put the part back that it replaced."""
    data = _backed_up(record)
    before = None if data is None else data.decode("utf-8-sig")
    try:
        cut = _without_entries if record.places else _without_rule
        text = cut(record, content.text, before)
    except ConfigurationSyntaxError as error:
        raise ClientFileError(record.path, error.reason, error.line) from None
    if text == content.text:
        return "holds nothing of this program any more"
    if not text.strip() and record.before is None:
        return _removed(record, content)
    replace_file(content, content.encoded(text))
    is_lost = data is None and record.before is not None
    return (
        f"keeps its later changes{', and its backup is gone' if is_lost else ''}: ours is taken out"
    )


def _removed(record: ChangeRecord, content: FileContent) -> str:
    """Remove a file that was made, and the folders that were made for it and are empty."""
    try:
        content.target.unlink()
    except OSError as error:
        raise ClientFileError(record.path, error.strerror or str(error)) from None
    with suppress(OSError):
        for folder in list(content.target.parents)[: record.folders]:
            folder.rmdir()
    return "was made by setup, and is removed"


def _without_entries(record: ChangeRecord, text: str, before: str | None) -> str:
    dialect = CLIENTS[record.client].dialect
    earlier = None if before is None else parse(before, dialect)
    for *container, name in record.places:
        document = parse(text, dialect)
        if _is_ours(document.entries(container).get(name), name):
            text = _put_back(document, tuple(container), name, earlier)
    return text


def _without_rule(_record: ChangeRecord, text: str, before: str | None) -> str:
    rest = without_rule(text, before)
    is_replaced = not rest.strip() and before is not None and is_about_context7(before)
    return before if is_replaced and before is not None else rest


def _put_back(
    document: JsonText | TomlText,
    container: tuple[str, ...],
    name: str,
    before: JsonText | TomlText | None,
) -> str:
    if isinstance(document, JsonText):
        return document.put_back(container, name, before if isinstance(before, JsonText) else None)
    return document.put_back(container, name, before if isinstance(before, TomlText) else None)


def _backed_up(record: ChangeRecord) -> bytes | None:
    """Return the bytes of the backup if they are those of the record."""
    if record.backup is None:
        return None
    with suppress(ClientFileError):
        data = read_file(Path(record.backup)).data
        return data if data is not None and _digest(data) == record.before else None
    return None


def _continued(
    record: ChangeRecord, previous: ChangeRecord | None, content: FileContent
) -> ChangeRecord:
    """Return the record of a change after an earlier one: undoing takes both back."""
    if previous is None or bool(previous.places) != bool(record.places):
        return record
    if not _holds_ours(previous, content.text):
        return record
    after = record.after if previous.after == record.before else None
    places = dict.fromkeys((*previous.places, *record.places))
    return replace(
        record,
        places=tuple(places),
        backup=previous.backup,
        before=previous.before,
        after=after,
        folders=previous.folders,
    )


def _holds_ours(record: ChangeRecord, text: str) -> bool:
    """Tell whether a text still holds all that a change set."""
    if not record.places:
        return has_rule(text)
    document = parse(text, CLIENTS[record.client].dialect)
    return all(
        _is_ours(document.entries(container).get(name), name) for *container, name in record.places
    )


def _is_ours(entry: object, name: str) -> bool:
    found = recognise(name, entry)
    return found is not None and found.ours


def _record_path(home: Path, path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return home / _FOLDER / f"{name}.json"


def _read_record(path: Path) -> ChangeRecord | None:
    """Return a record, None if there is none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        with path.open("rb") as file:
            fields = json.loads(file.read(_LARGEST))
        places = tuple(tuple(map(str, each)) for each in fields.pop("places"))
        record = ChangeRecord(places=places, **fields)
        if record.client in CLIENTS and all(places):
            return record
    return None


@contextmanager
def _turn(home: Path) -> Generator[None]:
    """Hold the lock of the records for the block, so that two runs change files in turn.

    Raises:
        ClientFileError: Another run holds it all the time, or the home cannot be written.
    """
    folder = home / _FOLDER
    try:
        make_home(str(home))
        make_private(str(folder))
        lock = FileLock(folder / "lock", timeout=_PATIENCE_SECONDS, mode=0o600)
        lock.acquire()
    except Timeout:
        raise ClientFileError(str(folder), "another `setup` is at work: wait for its end") from None
    except OSError as error:
        reason = f"the record of the change cannot be written: {error.strerror or error}"
        raise ClientFileError(str(folder), reason) from None
    try:
        yield
    finally:
        lock.release()


def _write_record(home: Path, record: ChangeRecord) -> None:
    path = _record_path(home, Path(record.path))
    try:
        temporary = path.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(asdict(record), file)
        temporary.replace(path)
    except OSError as error:
        reason = f"the record of the change cannot be written: {error.strerror or error}"
        raise ClientFileError(str(path), reason) from None


def _forget(home: Path, path: Path, previous: ChangeRecord | None) -> None:
    """Remove the record of a path, or write the previous one again."""
    if previous is not None:
        _write_record(home, previous)
        return
    with suppress(OSError):
        _record_path(home, path).unlink()


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
