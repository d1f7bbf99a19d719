"""Files of deploy against the code: variables, tags, rights, secrets, the start script."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from context7_fabric.redis_url import parse
from context7_fabric.settings import read_settings
from context7_fabric.variables import PREFIX, VARIABLES
from context7_fabric.version import __version__

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text("utf-8")
HANDBOOK = (ROOT / "docs" / "deploy.md").read_text("utf-8")
COMPOSED = (DEPLOY / "compose.yaml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSED)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = ("fabric-1", "fabric-2")
OUTSIDE = "${SECRETS:-/etc/context7-fabric}/"


def variables_in(text: str) -> set[str]:
    return set(re.findall(r"CONTEXT7_FABRIC_[A-Z_]+", text))


@pytest.mark.parametrize("text", [COMPOSED, DOCKERFILE, HANDBOOK])
def test_every_variable_that_is_named_is_a_setting(text: str) -> None:
    assert variables_in(text)
    assert variables_in(text) <= {PREFIX + name for name in VARIABLES}


def test_the_replicas_settings_can_be_used() -> None:
    said: dict[str, str] = SERVICES["fabric-1"]["environment"]
    assert said == SERVICES["fabric-2"]["environment"]
    named = re.sub(r"\$\{.*?\}", "context7.example", said["CONTEXT7_FABRIC_HOSTS"])
    settings = read_settings({**said, "CONTEXT7_FABRIC_HOSTS": named})
    assert settings.web.hosts == frozenset({"context7.example", *REPLICAS})
    assert settings.suggestions.qdrant_url == "http://qdrant:6333"
    assert settings.web.proxies == (SERVICES["proxy"]["networks"]["front"]["ipv4_address"],)


def test_every_image_has_a_tag_that_stays() -> None:
    images = [service["image"] for service in SERVICES.values()]
    images += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(images) == 7
    assert all(re.search(r":v?\d+\.\d+\S*$", image) for image in images)
    assert SERVICES["fabric-1"]["image"] == f"context7-fabric:{__version__}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert "healthcheck" in service or (name in REPLICAS and "\nHEALTHCHECK " in DOCKERFILE)
    assert ("ports" in service) == (name == "proxy")


def test_image_runs_as_an_unprivileged_user() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last_stage, re.MULTILINE) == ["10001:10001"]


def test_secrets_are_files_outside_the_repository_and_no_variables() -> None:
    assert all(each["file"].startswith(OUTSIDE) for each in COMPOSE["secrets"].values())
    for service in SERVICES.values():
        assert not [name for name in service.get("environment", {}) if "KEY" in name]
        assert "CONTEXT7_FABRIC_BACKEND" not in service.get("environment", {})
        given = service.get("secrets", [])
        named = {each if isinstance(each, str) else each["source"] for each in given}
        assert named <= set(COMPOSE["secrets"])


def test_what_the_image_is_built_from_is_let_through_and_nothing_else() -> None:
    copied = re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == sources
    assert all((ROOT / source).exists() for source in sources)


def test_nginx_knows_the_replicas_by_their_names() -> None:
    assert set(re.findall(r"server (\S+):3000 ", NGINX)) == set(REPLICAS)


def test_the_address_of_redis_in_the_handbook_can_be_used() -> None:
    (address,) = re.findall(r"redis://\S+@redis:6379/0", HANDBOOK)
    meant = parse(address, None, None, ssl=False)
    assert (meant.host, meant.port, meant.db) == ("redis", 6379, 0)
    assert meant.password


def test_a_file_named_like_a_variable_sets_it_and_the_command_takes_over(tmp_path: Path) -> None:
    secrets, commands = tmp_path / "secrets", tmp_path / "bin"
    secrets.mkdir()
    commands.mkdir()
    (secrets / "CONTEXT7_FABRIC_BACKEND").write_text("redis://:a b'$c\"@redis:6379/0\n")
    (secrets / "chain.pem").write_text("no variable\n")
    command = commands / "context7-fabric"
    command.write_text('#!/bin/sh\necho "$$ $CONTEXT7_FABRIC_BACKEND"\nprintf "<%s>" "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "start"
    text = (DEPLOY / "start").read_text("utf-8")
    assert "/run/secrets/" in text
    script.write_text(text.replace("/run/secrets/", f"{secrets}/"))
    path = f"{commands}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["sh", str(script), "token", "add", "ann lee"],
        env={"PATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said, _nothing = process.communicate(timeout=40)
    assert process.returncode == 0
    assert said == f"{process.pid} redis://:a b'$c\"@redis:6379/0\n<token><add><ann lee>"


def test_without_secrets_the_command_is_run_all_the_same(tmp_path: Path) -> None:
    text = (DEPLOY / "start").read_text("utf-8")
    script = tmp_path / "start"
    script.write_text(text.replace("context7-fabric", "echo"))
    done = subprocess.run(
        ["sh", str(script), "serve"], capture_output=True, text=True, check=True, timeout=40
    )
    assert done.stdout == "serve\n"
