"""Layers that are older than their sources are noticed, and nothing runs with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.functions.layers import OUTDATED, STAMP, MissingArtefact, check_layers, digest


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    package = tmp_path / "sources" / "shared" / "package"
    package.mkdir(parents=True)
    (package / "one.py").write_text("1")
    (package.parent / "requirements.txt").write_text("a==1")
    return tmp_path / "sources"


@pytest.fixture
def built(tmp_path: Path, sources: Path) -> Path:
    folder = tmp_path / "built"
    (folder / "SharedLayer").mkdir(parents=True)
    (folder / STAMP).write_text(digest(sources) + "\n")
    return folder


def test_layers_of_these_sources_may_run(built: Path, sources: Path) -> None:
    check_layers(built, sources, ["SharedLayer"])


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "shared/package/one.py").write_text("2"),
        lambda folder: (folder / "shared/package/one.py").rename(folder / "shared/package/two.py"),
        lambda folder: (folder / "shared/package/one.py").unlink(),
        lambda folder: (folder / "shared/package/two.py").write_text(""),
        lambda folder: (folder / "shared/requirements.txt").write_text("a==2"),
    ],
    ids=["content", "name", "removal", "addition", "requirements"],
)
def test_a_change_of_the_sources_outdates_the_layers(
    built: Path, sources: Path, change: Callable[[Path], object]
) -> None:
    change(sources)
    with pytest.raises(MissingArtefact, match=OUTDATED):
        check_layers(built, sources, ["SharedLayer"])


@pytest.mark.parametrize("name", ["__pycache__/one.pyc", "node_modules/x/x.js", ".cache/x", ".one.py.swp"])
def test_what_is_no_source_outdates_nothing(built: Path, sources: Path, name: str) -> None:
    file = sources / "shared" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x")
    check_layers(built, sources, ["SharedLayer"])


def test_layers_without_a_stamp_are_outdated(built: Path, sources: Path) -> None:
    (built / STAMP).unlink()
    with pytest.raises(MissingArtefact, match=OUTDATED):
        check_layers(built, sources, ["SharedLayer"])


def test_a_layer_that_is_not_there_is_named(built: Path, sources: Path) -> None:
    with pytest.raises(MissingArtefact, match="ChromiumLayer is not built"):
        check_layers(built, sources, ["SharedLayer", "ChromiumLayer"])
