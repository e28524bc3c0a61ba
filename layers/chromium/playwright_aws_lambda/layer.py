"""The layer's files, and the folder below TMPDIR where they are inflated."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

_CHUNK = 1 << 20


class LayerError(RuntimeError):
    """The layer is missing or damaged, or its place below TMPDIR cannot be trusted."""


@dataclass(frozen=True)
class Layer:
    """A built layer at `root`, which is /opt on Lambda; it is unfolded below `scratch`, TMPDIR unless given."""

    root: Path
    scratch: Path

    @classmethod
    def here(cls) -> Layer:
        """The layer that this very package is part of: `<root>/python/playwright_aws_lambda/layer.py`."""
        return cls.at(Path(__file__).resolve().parents[2])

    @classmethod
    def at(cls, root: Path) -> Layer:
        """The layer at `root`."""
        return cls(root, Path(tempfile.gettempdir()))

    @property
    def files(self) -> Path:
        """The browser's part of the layer: compressed binaries, libraries, fonts."""
        return self.root / "chromium"

    @property
    def libraries(self) -> Path:
        """NSS and NSPR, which Chromium loads from LD_LIBRARY_PATH."""
        return self.files / "lib"

    def workspace(self) -> Path:
        """A folder of this user's own: inflated binaries, and `home`, which is Chromium's HOME.

        It survives with the process, and with /tmp on Lambda, so that a second process finds the binaries inflated.

        Raises:
            LayerError: the folder belongs to somebody else, or others may write to it: what lies there would be run.
        """
        place = self.scratch / f"playwright-aws-lambda-{os.geteuid()}"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise LayerError(f"{place} is not a folder that this user alone may write to")
        (place / "home").mkdir(exist_ok=True)
        return place

    def inflate(self, name: str) -> Path:
        """Inflates `chromium` or `node` unless it is there already, and returns its path.

        It is written beside its place and renamed, so that no process ever runs half a binary. Takes 0.55 s for the
        197 MB of Chromium, and about half of that for Node.js (measured).

        Raises:
            LayerError: the layer is not there, or its content is not what was built.
        """
        try:
            entry = json.loads((self.files / "manifest.json").read_text())[name]
        except (OSError, ValueError, KeyError) as error:
            raise LayerError(f"no Chromium layer at {self.root}; build it with `make layers`") from error
        place = self.workspace() / f"{name}-{entry['sha256'][:16]}"
        if place.is_file() and place.stat().st_size == entry["size"]:
            return place
        descriptor, scratch = tempfile.mkstemp(prefix=f".{name}-", dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as target:
                self._write(entry, target)
                os.fchmod(target.fileno(), 0o700)
            os.rename(scratch, place)
        except BaseException:
            os.unlink(scratch)
            raise
        return place

    def _write(self, entry: dict[str, str], target: BinaryIO) -> None:
        size = 0
        # zstd's own checksum guards the content; SHA-256 over 197 MB would cost as much as inflating it.
        with (self.files / entry["file"]).open("rb") as packed:
            for chunk in zstandard.ZstdDecompressor().read_to_iter(packed, read_size=_CHUNK, write_size=_CHUNK):
                target.write(chunk)
                size += len(chunk)
        if size != int(entry["size"]):
            raise LayerError(f"{entry['file']} holds {size} bytes in place of {entry['size']}")


def font_name(content: bytes) -> str:
    """A file name for a font without one: equal fonts get equal names."""
    return f"{hashlib.sha256(content).hexdigest()[:16]}.ttf"
