"""What must be said again when the daemon is gone in the middle of a conversation. Pure."""

from __future__ import annotations

import json

from context7_fabric.lenient_json import as_id

_ANSWER = b'{"jsonrpc":"2.0","id":'
"""How the daemon's answers begin."""

_LONGEST_ID = 2**15
"""Bytes of an answer in which its id is read: six for each character that an id may have."""

_MOST = 1000
"""Calls that are kept to be said again; a client that has more in flight loses those beyond."""

_MARK = "\ufeff"
_read = json.JSONDecoder().raw_decode


class ReplayBuffer:
    """The requests without an answer yet, and those that made the connection what it is."""

    def __init__(self) -> None:
        """Know of nothing said."""
        self._greetings: list[bytes] = []
        self._subscriptions: dict[str, bytes] = {}
        self._open: dict[str, bytes] = {}
        self._asked_again: set[str] = set()
        self._known: set[str] = set()

    @property
    def repeated(self) -> bool:
        """Tell whether answers are due that the client has had already."""
        return bool(self._known)

    @property
    def wanted(self) -> bool:
        """Tell whether the client waits for anything."""
        return bool(self._open or self._subscriptions)

    def said(self, line: bytes) -> None:
        """Take note of a line of the client's."""
        message = _message(line)
        method = message.get("method")
        if method == "notifications/initialized":
            self._greetings.append(line)
        elif method == "notifications/cancelled":
            self._close(_name(_params(message).get("requestId")))
        elif isinstance(method, str) and "id" in message and len(self._open) < _MOST:
            self._open[_name(message["id"])] = line
            self._remember(method, _params(message), line)

    def heard(self, line: bytes) -> bool:
        """Take note of a line of the daemon's; tell whether it is news to the client."""
        if not line.startswith(_ANSWER):
            return True
        name = _id_of(line)
        if name in self._known:
            self._known.discard(name)
            return False
        self._close(name)
        return True

    def again(self) -> tuple[list[bytes], list[bytes]]:
        """Return what to say to a new daemon, and what to tell the client.

        A call is said once more and no more than that: if daemons die of it, it fails.
        """
        lost = [name for name in self._open if name in self._asked_again]
        for name in lost:
            self._close(name)
        again = [*self._greetings, *self._subscriptions.values()]
        self._known = {_name(_message(line).get("id")) for line in again} - {_name(None)}
        self._known -= set(self._open)
        again += [line for line in self._open.values() if line not in again]
        self._asked_again = set(self._open)
        return again, [_failed(name) for name in lost]

    def _remember(self, method: str, params: dict[str, object], line: bytes) -> None:
        if method == "initialize":
            self._greetings = [line]
        elif method == "resources/subscribe":
            self._subscriptions[str(params.get("uri"))] = line
        elif method == "resources/unsubscribe":
            self._subscriptions.pop(str(params.get("uri")), None)

    def _close(self, name: str) -> None:
        self._open.pop(name, None)
        self._asked_again.discard(name)


def _id_of(answer: bytes) -> str:
    """Return the name of the request that `answer` belongs to, none's if it cannot be read."""
    try:
        beginning = answer[len(_ANSWER) : len(_ANSWER) + _LONGEST_ID]
        return _name(_read(beginning.decode(errors="replace"))[0])
    except (ValueError, RecursionError):
        return _name(None)


def _message(line: bytes) -> dict[str, object]:
    try:
        message = json.loads(line.decode(errors="replace").lstrip(_MARK), strict=False)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _params(message: dict[str, object]) -> dict[str, object]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _name(request_id: object) -> str:
    """Return the id of a request as JSON, in which 1 and "1" are two."""
    return json.dumps(as_id(request_id))


def _failed(name: str) -> bytes:
    error = '{"code":-32000,"message":"Connection closed"}'
    return f'{{"jsonrpc":"2.0","id":{name},"error":{error}}}\n'.encode()
