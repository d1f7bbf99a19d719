"""`model status` and each import of onnxruntime: no traceback, and nothing written into HOME."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.processes import spawn
from support.product import PROGRAM, product_environment, run_product

pytestmark = pytest.mark.timeout(180)
OFF = {"CONTEXT7_FABRIC_UPSTREAM": "off"}
LOADING = {
    "model status": "import sys\n"
    "from context7_fabric.__main__ import main\n"
    "sys.argv = ['context7-fabric', 'model', 'status']\n"
    "sys.exit(main() - 1)",
    "vectors in this process": "import context7_fabric as c, asyncio as a\n"
    "async def f():\n"
    "    async with c.VectorFabric() as fabric: await fabric.search('x')\n"
    "a.run(f())",
    "a Qdrant server": "import context7_fabric.fabric.backends.qdrant.collection",
    "the worker": "import runpy, sys\n"
    "sys.argv = ['worker', '--idle-seconds', '1']\n"
    "runpy.run_module('context7_fabric.suggestions.worker', run_name='__main__')",
}


def environment(home: Path, user: Path, **more: str) -> dict[str, str]:
    """Return the environment of a separate user, whose folder a test can inspect."""
    user.mkdir()
    own = {**OFF, "HOME": str(user), "XDG_CACHE_HOME": "", "HF_HUB_OFFLINE": "1", **more}
    return {key: text for key, text in product_environment(home, own).items() if text}


@pytest.mark.parametrize("code", LOADING.values(), ids=LOADING)
def test_import_of_onnxruntime_leaves_nothing_in_the_users_folder(
    home: Path, tmp_path: Path, code: str
) -> None:
    env = environment(home, tmp_path / "user", CONTEXT7_FABRIC_MODEL="all-MiniLM-L6-v2")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env,
        input='{"id":1,"do":"status"}\n',
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [*(tmp_path / "user").rglob("*")] == []


@pytest.mark.parametrize("package", ["numpy", "fastembed", "qdrant_client"])
def test_model_status_without_a_package_names_it_in_one_line(
    home: Path, tmp_path: Path, package: str
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    missing = f"raise ModuleNotFoundError('No module named {package}', name='{package}')\n"
    (broken / f"{package}.py").write_text(missing)
    env = environment(home, tmp_path / "user", CONTEXT7_FABRIC_MODEL="x", PYTHONPATH=str(broken))
    done = run_product("model", "status", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"context7-fabric: {package} cannot be imported")


def test_ctrl_c_ends_a_download_in_one_line(home: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as never:
        never.settimeout(50)
        hub = f"http://127.0.0.1:{never.getsockname()[1]}"
        variables = environment(home, tmp_path / "user", HF_ENDPOINT=hub, HF_HUB_OFFLINE="")
        variables["CONTEXT7_FABRIC_MODEL"] = "sentence-transformers/all-MiniLM-L6-v2"
        with spawn([PROGRAM, "model", "fetch"], variables) as process:
            never.accept()[0].close()
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(20) == 130
            assert process.err.text.strip().splitlines()[-1] == (
                "context7-fabric: interrupted: what has arrived is kept; run `model fetch` again to"
                " go on"
            )
            assert "Traceback" not in process.err.text
