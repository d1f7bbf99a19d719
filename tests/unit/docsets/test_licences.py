"""Licences of sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from context7_fabric.docsets.sources.licences import licence_of, licence_of_text


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
