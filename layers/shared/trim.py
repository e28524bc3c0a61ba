"""Trims botocore in the built layer to the services that urlshot calls: `python trim.py FOLDER`.

FOLDER is the layer's `python/`. botocore comes with models of more than 400 services. Before it makes its first client,
it lists all their folders and parses the endpoints of all of them. It also inflates and parses the models with their
documentation, which no function shows. Only data is changed.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

SERVICES = ("events", "lambda", "s3", "secretsmanager", "sesv2", "sqs", "sts")
"""The services of the functions; botocore itself may call STS for credentials."""
_PREFIXES = {"sesv2": "email"}
"""Names in endpoints.json that differ from the service's folder."""
_UNUSED = "examples-1.json"


def trim(packages: Path) -> None:
    """Trims the botocore of a folder with Python packages; a second time changes nothing."""
    data = packages / "botocore" / "data"
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            shutil.rmtree(folder)
    for name in SERVICES:
        for version in (data / name).iterdir():
            (version / _UNUSED).unlink(missing_ok=True)
            for packed in version.glob("*.json.gz"):
                model = json.loads(gzip.decompress(packed.read_bytes()))
                packed.with_suffix("").write_text(_compact(_undocumented(model)), "utf-8")
                packed.unlink()
    endpoints = data / "endpoints.json"
    found = json.loads(endpoints.read_text("utf-8"))
    kept = {_PREFIXES.get(name, name) for name in SERVICES}
    for partition in found["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in kept}
    endpoints.write_text(_compact(found), "utf-8")


def _undocumented(value: Any) -> Any:
    """Returns a part of a model with empty documentation; a member may have that name too, and is not a text."""
    if isinstance(value, dict):
        return {
            key: "" if key == "documentation" and isinstance(one, str) else _undocumented(one)
            for key, one in value.items()
        }
    return [_undocumented(one) for one in value] if isinstance(value, list) else value


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
