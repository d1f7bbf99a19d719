"""Metadata of packages: licences, and what a project has installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from context7_fabric.docsets.sources.packages import (
    installed_packages,
    licence_of,
    licence_of_text,
    project_environment,
)


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("Permission is hereby granted, free\n of charge, to any person obtaining a copy", "MIT"),
        ("                 Apache License\n           Version 2.0, January 2004", "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\n   Version 3, 29 June 2007", "GPL-3.0-only"),
        ("GNU AFFERO GENERAL PUBLIC LICENSE\n Version 3, 19 November 2007", "AGPL-3.0-only"),
        ("GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999", "LGPL-2.1-only"),
        ("Mozilla Public License Version 2.0", "MPL-2.0"),
        (
            "Redistribution and use in source and binary forms\n3. Neither the name of the holder",
            "BSD-3-Clause",
        ),
        ("Redistribution and use in source and binary forms, with or without", "BSD-2-Clause"),
        ("Permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("This is free and unencumbered software released into the public domain.", "Unlicense"),
        ("All rights reserved.", None),
        ("", None),
    ],
)
def test_licence_of_text_knows_the_usual_ones(text: str, licence: str | None) -> None:
    assert licence_of_text(text) == licence


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({"package.json": '{"license": "Apache-2.0"}', "LICENSE": "MIT"}, "Apache-2.0"),
        ({"package.json": '{"license": "SEE LICENSE IN x"}'}, "unknown"),
        ({"package.json": '{"license": {"type": "MIT"}}'}, "unknown"),
        ({"package.json": "[" * 100_000}, "unknown"),
        ({"pyproject.toml": '[project]\nlicense = "MIT OR Apache-2.0"'}, "MIT OR Apache-2.0"),
        ({"pyproject.toml": "not = = toml"}, "unknown"),
        ({"Cargo.toml": '[package]\nlicense = "MIT"'}, "MIT"),
        ({"LICENCE.txt": "Mozilla Public License, version 2.0"}, "MPL-2.0"),
        (
            {"UNLICENSE": "This is free and unencumbered software released into the public domain"},
            "Unlicense",
        ),
        ({"README.md": "MIT"}, "unknown"),
    ],
)
def test_licence_of_a_folder_is_what_the_package_says_or_the_text(
    tmp_path: Path, files: dict[str, str], licence: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert licence_of(tmp_path) == licence


def test_licence_of_a_link_is_unknown(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("Mozilla Public License Version 2.0")
    source = tmp_path / "source"
    source.mkdir()
    (source / "LICENSE").symlink_to(outside)
    assert licence_of(source) == "unknown"


def environment(folder: Path, name: str, metadata: str) -> Path:
    packages = folder / "lib" / "python3.12" / "site-packages"
    (packages / name).mkdir(parents=True)
    (packages / name / "METADATA").write_text(metadata)
    (folder / "pyvenv.cfg").write_text("")
    return folder


METADATA = """Metadata-Version: 2.4
Name: My_Package
Version: 1.2.3
Home-page: https://my.example.org
Project-URL: Source Code, https://github.com/o/my
Project-URL: Sponsor, https://github.com/sponsors/o

Text: no header
"""


def test_installed_packages_of_python_have_their_addresses(tmp_path: Path) -> None:
    venv = environment(tmp_path / ".venv", "my_package-1.2.3.dist-info", METADATA)
    [found] = installed_packages("My.Package", tmp_path, venv)
    assert found.version == "1.2.3"
    assert found.urls == ("https://github.com/o/my", "https://my.example.org")
    assert installed_packages("my", tmp_path, venv) == ()


def test_installed_packages_of_npm_have_their_addresses(tmp_path: Path) -> None:
    folder = tmp_path / "node_modules" / "@o" / "my"
    folder.mkdir(parents=True)
    package = {
        "version": "2.0.0",
        "repository": {"type": "git", "url": "git+https://github.com/o/my.git"},
        "homepage": "https://my.example.org",
    }
    (folder / "package.json").write_text(json.dumps(package))
    [found] = installed_packages("@o/my", tmp_path, None)
    assert (found.version, len(found.urls)) == ("2.0.0", 2)
    (folder / "package.json").write_text("[" * 100_000)
    for name in ("@o/my", "../..", "", "/etc", "gone"):
        assert installed_packages(name, tmp_path, None) == ()


def test_project_environment_is_the_one_named_then_the_active_one_then_its_own(
    tmp_path: Path,
) -> None:
    own = environment(tmp_path / ".venv", "a-1.dist-info", "")
    active = environment(tmp_path / "active", "a-1.dist-info", "")
    assert project_environment({}, tmp_path) == own
    assert project_environment({"VIRTUAL_ENV": str(active)}, tmp_path) == active
    assert project_environment({"VIRTUAL_ENV": str(active)}, tmp_path, own) == own
    assert project_environment({}, tmp_path / "elsewhere") is None
