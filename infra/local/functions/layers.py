"""Whether the layers that `make layers` built are what their sources make now.

    python -m infra.local.functions.layers      prints the hash of the sources

`make layers` takes the hash before it builds, and keeps it beside the layers when it is done.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from infra.local.settings import PROJECT

STAMP = "sources.sha256"
"""The file beside the built layers that holds the hash of the sources."""
OUTDATED = "the layers are older than their sources: run `make setup`"
_NOT_SOURCES = {"__pycache__", "node_modules"}


class MissingArtefact(Exception):
    """Something is not built, or is older than its sources; the text says which command builds it."""


def digest(sources: Path) -> str:
    """The SHA-256 of all sources and requirements below a folder, in hex: of their paths and contents."""
    total = hashlib.sha256()
    for file in sorted(path for path in sources.rglob("*") if path.is_file()):
        parts = file.relative_to(sources).parts
        if not _NOT_SOURCES.intersection(parts) and not any(part.startswith(".") for part in parts):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            total.update(f"{content} {'/'.join(parts)}\n".encode())
    return total.hexdigest()


def check_layers(built: Path, sources: Path, names: Iterable[str]) -> None:
    """Checks the layers in the folder `built` against the folder of their sources.

    Raises:
        MissingArtefact: A layer is not there, or the layers were built from other sources.
    """
    for name in names:
        if not (built / name).is_dir():
            raise MissingArtefact(f"the layer {name} is not built in {built}: run `make setup`")
    stamp = built / STAMP
    if not stamp.is_file() or stamp.read_text("utf-8").strip() != digest(sources):
        raise MissingArtefact(OUTDATED)


if __name__ == "__main__":
    print(digest(PROJECT / "layers"))
