"""Tests the package of the Chromium layer, with a layer of a few bytes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
import zstandard

from playwright_aws_lambda import Chromium, DevToolsError, Layer, LayerError, chromium_args, load_font

CONTENT = b"binary" * 1000


@pytest.fixture
def layer(tmp_path: Path) -> Layer:
    files = tmp_path / "layer" / "chromium"
    files.mkdir(parents=True)
    (files / "chromium.zst").write_bytes(zstandard.compress(CONTENT))
    entry = {"file": "chromium.zst", "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    (files / "manifest.json").write_text(json.dumps({"chromium": entry}))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Layer(tmp_path / "layer", scratch)


def test_binary_is_inflated_once_and_executable(layer: Layer) -> None:
    place = layer.inflate()
    assert place.read_bytes() == CONTENT
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    written = place.stat().st_mtime_ns
    assert layer.inflate().stat().st_mtime_ns == written


def test_incomplete_binary_is_inflated_again(layer: Layer) -> None:
    place = layer.inflate()
    place.write_bytes(b"half")
    assert layer.inflate().read_bytes() == CONTENT


def test_damaged_layer_leaves_no_files(layer: Layer) -> None:
    packed = layer.files / "chromium.zst"
    packed.write_bytes(zstandard.compress(CONTENT[:-1]))
    with pytest.raises(LayerError):
        layer.inflate()
    assert [file for file in layer.workspace().iterdir() if file.is_file()] == []


def test_error_for_a_missing_layer_names_the_build_command(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="make layers"):
        Layer.at(tmp_path).inflate()


def test_workspace_that_others_may_write_to_is_refused(layer: Layer) -> None:
    layer.workspace().chmod(0o777)
    with pytest.raises(LayerError, match="only this user"):
        layer.inflate()


def test_workspace_that_is_a_link_is_refused(layer: Layer, tmp_path: Path) -> None:
    (layer.scratch / f"playwright-aws-lambda-{os.geteuid()}").symlink_to(tmp_path)
    with pytest.raises(LayerError):
        layer.inflate()


def test_font_is_added_by_path_and_by_content(layer: Layer, tmp_path: Path) -> None:
    font = tmp_path / "Some.ttf"
    font.write_bytes(b"font")
    assert load_font(font, layer).name == "Some.ttf"
    place = load_font(b"font", layer)
    assert place.read_bytes() == b"font"
    assert place.parent == layer.workspace() / "home" / ".fonts"


def test_no_switch_weakens_the_security_rules_of_the_web() -> None:
    args = " ".join(chromium_args())
    for weak in ("--disable-web-security", "--allow-running-insecure-content", "--ignore-certificate-errors"):
        assert weak not in args
    assert "--disable-quic" in args


def test_browser_that_cannot_start_is_an_error_that_the_renderer_handles(layer: Layer) -> None:
    binary = layer.inflate()
    binary.chmod(0o600)

    async def start() -> None:
        await Chromium(binary, layer, None).start()

    for _ in range(2):
        with pytest.raises(DevToolsError, match="does not start"):
            asyncio.run(start())
