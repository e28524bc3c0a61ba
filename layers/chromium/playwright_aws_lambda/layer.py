"""Finds the layer's files, and inflates the browser to a folder in TMPDIR."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

_CHUNK = 1 << 20
_INFLATING = threading.Lock()


class LayerError(RuntimeError):
    """The layer is missing or damaged, or its folder in TMPDIR cannot be trusted."""


@dataclass(frozen=True)
class Layer:
    """A built layer at `root` (/opt on Lambda), whose browser is inflated to a folder in `scratch`."""

    root: Path
    scratch: Path

    @classmethod
    def here(cls) -> Layer:
        """Returns the layer that contains this package: `<root>/python/playwright_aws_lambda/layer.py`."""
        return cls.at(Path(__file__).resolve().parents[2])

    @classmethod
    def at(cls, root: Path) -> Layer:
        """Returns the layer at `root`, with TMPDIR as `scratch`."""
        return cls(root, Path(tempfile.gettempdir()))

    @property
    def files(self) -> Path:
        """The folder with the compressed browser, the libraries and the fonts."""
        return self.root / "chromium"

    @property
    def libraries(self) -> Path:
        """The folder with NSS and NSPR, for LD_LIBRARY_PATH."""
        return self.files / "lib"

    def workspace(self) -> Path:
        """Returns this user's folder for the inflated browser and for `home`, Chromium's HOME; makes it if necessary.

        The folder outlives the process, on Lambda as long as /tmp, so a later process finds the binaries inflated.

        Raises:
            LayerError: Another user owns the folder or may write to it. The binaries in it would be executed.
        """
        place = self.scratch / f"playwright-aws-lambda-{os.geteuid()}"
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise LayerError(f"{place} is not a folder that only this user may write to")
        (place / "home").mkdir(exist_ok=True)
        return place

    def inflate(self) -> Path:
        """Inflates the browser, unless that was done before, and returns its path.

        The binary is written to a temporary name and renamed, so no process runs an incomplete one. It has 197 MB and
        takes 0.4 s of processor time, half of that for the file system (measured).

        Raises:
            LayerError: The layer is missing, or its content differs from what was built.
        """
        with _INFLATING:
            return self._inflate()

    def inflate_ahead(self) -> None:
        """Begins to inflate the browser in a thread; `inflate()` waits for its end, and reports its errors."""

        def attempt() -> None:
            with contextlib.suppress(LayerError, OSError):
                self.inflate()

        threading.Thread(target=attempt, name="inflate", daemon=True).start()

    def _inflate(self) -> Path:
        try:
            entry = json.loads((self.files / "manifest.json").read_text())["chromium"]
        except (OSError, ValueError, KeyError) as error:
            raise LayerError(f"there is no Chromium layer at {self.root}; build it with `make layers`") from error
        place = self.workspace() / f"chromium-{entry['sha256'][:16]}"
        if place.is_file() and place.stat().st_size == entry["size"]:
            return place
        descriptor, scratch = tempfile.mkstemp(prefix=".chromium-", dir=place.parent)
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
        # zstd checks the content by its own checksum. SHA-256 of 197 MB would take as long as inflating them.
        with (self.files / entry["file"]).open("rb") as packed:
            for chunk in zstandard.ZstdDecompressor().read_to_iter(packed, read_size=_CHUNK, write_size=_CHUNK):
                target.write(chunk)
                size += len(chunk)
        if size != int(entry["size"]):
            raise LayerError(f"{entry['file']} has {size} bytes instead of {entry['size']}")


def font_name(content: bytes) -> str:
    """Returns a file name for a font that has none; equal fonts get equal names."""
    return f"{hashlib.sha256(content).hexdigest()[:16]}.ttf"
