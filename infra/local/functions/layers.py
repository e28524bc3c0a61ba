"""Checks whether the layers that `make layers` built are up to date with their sources.

    python -m infra.local.functions.layers      prints the hash of the sources

`make layers` computes the hash before it builds, and stores it beside the layers afterwards.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from infra.local.settings import PROJECT

STAMP = "sources.sha256"
"""The name of the file beside the built layers with the hash of their sources."""
OUTDATED = "the layers are older than their sources: run `make setup`"
_NOT_SOURCES = {"__pycache__", "node_modules"}


class MissingArtefact(Exception):
    """Reports that something is not built, or is older than its sources; the text says which command builds it."""


def digest(sources: Path) -> str:
    """Returns the SHA-256 of the paths and contents of all files below a folder, in hex."""
    total = hashlib.sha256()
    for file in sorted(path for path in sources.rglob("*") if path.is_file()):
        parts = file.relative_to(sources).parts
        if not _NOT_SOURCES.intersection(parts) and not any(part.startswith(".") for part in parts):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            total.update(f"{content} {'/'.join(parts)}\n".encode())
    return total.hexdigest()


def check_layers(built: Path, sources: Path, names: Iterable[str]) -> None:
    """Checks that layers are built from the current sources.

    Args:
        built: The folder with the built layers.
        sources: The folder with their sources.
        names: The layers.

    Raises:
        MissingArtefact: A layer is missing, or was built from other sources.
    """
    for name in names:
        if not (built / name).is_dir():
            raise MissingArtefact(f"the layer {name} is not built in {built}: run `make setup`")
    stamp = built / STAMP
    if not stamp.is_file() or stamp.read_text("utf-8").strip() != digest(sources):
        raise MissingArtefact(OUTDATED)


if __name__ == "__main__":
    print(digest(PROJECT / "layers"))
