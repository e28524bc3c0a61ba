"""Compares the list of components with the built layers."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.supply_chain.pins import DEPLOYED, PROJECT, npm_names, python_pins
from infra.supply_chain.sbom import LAYERS, document, write

SPDX = re.compile(r"[A-Za-z0-9.-]+( (AND|OR) [A-Za-z0-9.-]+)*")


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    if not (LAYERS / "ChromiumLayer" / "chromium" / "manifest.json").is_file():
        pytest.fail("the layers are not built; run `make layers`")


def test_every_package_of_the_layers_is_listed(tmp_path: Path) -> None:
    listed = {component["purl"] for component in document(LAYERS)["components"] if "purl" in component}
    there = {
        f"pkg:pypi/{name.replace('_', '-').lower()}@{version}"
        for place in LAYERS.glob("*/python/*.dist-info")
        for name, version in [place.name.removesuffix(".dist-info").rsplit("-", 1)]
    }
    assert len(there) > 15
    assert there - listed == set()
    pins = [pin for files in DEPLOYED.values() for file in files for pin in python_pins(file)]
    assert len(listed) == len({pin.name for pin in pins}) + len(npm_names())


def test_list_is_complete_and_the_same_each_time(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "sbom.json"
    assert write(file) > 50
    listed = json.loads(file.read_text())
    assert listed == document(LAYERS)
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    components = listed["components"]
    assert len({component["bom-ref"] for component in components}) == len(components)
    assert listed["dependencies"][0]["dependsOn"] == [component["bom-ref"] for component in components]
    for component in components:
        [licence] = component["licenses"]
        assert SPDX.fullmatch(licence.get("expression") or licence["license"]["id"]), component["name"]
    names = {component["name"] for component in components}
    assert {"chromium", "node.js", "playwright", "nss", "open-sans", "dejavu-fonts-ttf"} <= names
    manifest = json.loads((LAYERS / "ChromiumLayer" / "chromium" / "manifest.json").read_text())
    [chromium] = [component for component in components if component["name"] == "chromium"]
    assert chromium["hashes"] == [{"alg": "SHA-256", "content": manifest["chromium"]["sha256"]}]


def test_layer_without_a_pinned_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="not in the built layer"):
        document(tmp_path)
    assert PROJECT.is_dir()
