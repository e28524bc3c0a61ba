"""Lists what the built layers contain, as CycloneDX 1.6 JSON (ECMA-424).

Versions and hashes come from the pins, and licences from the metadata of the built layers and from npm's lock file. The
same layers give the same file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from infra.supply_chain.pins import DEPLOYED, PROJECT, Pin, npm_names, npm_packages, python_pins

LAYERS = PROJECT / ".urlshot" / "layers"

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause", "MIT License": "MIT",
    "Python Software Foundation License": "PSF-2.0",
}  # fmt: skip
_TEXTS = {"Apache License 2.0": "Apache-2.0", "BSD": "BSD-3-Clause"}
_FONTS_LICENCE = "OFL-1.1"

WITHIN: dict[str, tuple[tuple[str, str], ...]] = {
    "pynacl": (("libsodium", "ISC"),),
    "pybase64": (("libbase64", "BSD-2-Clause"),),
    "zstandard": (("zstd", "BSD-3-Clause"),),
    "@sparticuz/chromium": (("chromium", "BSD-3-Clause"), ("nss", "MPL-2.0"), ("nspr", "MPL-2.0"), ("expat", "MIT"),
                            ("open-sans", _FONTS_LICENCE)),
}  # fmt: skip
"""Software in packages that has no version of its own in the pins; a package's hash covers it."""
_BINARIES = {"chromium": "chromium"}
"""The entries of the layer's manifest, which have the hashes of the inflated programs."""


def write(file: Path) -> int:
    """Writes the list, and returns the number of components.

    Raises:
        SystemExit: The layers are not built, or lack the metadata of a pinned package.
    """
    listed = document(LAYERS)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(listed, indent=2) + "\n", "utf-8")
    print(f"{file}: {len(listed['components'])} components")
    return len(listed["components"])


def document(layers: Path) -> dict[str, Any]:
    """Returns the list for the layers in a folder."""
    components = [*_python(layers), *_npm(layers)]
    text = json.dumps(components, sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": "urlshot", "name": "urlshot", **_licences("MIT")},
            "lifecycles": [{"phase": "build"}],
        },
        "components": components,
        "dependencies": [{"ref": "urlshot", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _python(layers: Path) -> Iterator[dict[str, Any]]:
    for layer, files in DEPLOYED.items():
        for pin in (pin for file in files for pin in python_pins(file)):
            if pin.name.startswith("noto-cjk"):  # only its fonts are in the layer
                licence, kind = _FONTS_LICENCE, "data"
            else:
                licence, kind = _licence(layers / layer / "python", pin), "library"
            yield _component(layer, kind, pin, f"pkg:pypi/{pin.name.lower()}@{quote(pin.version)}", licence)
            yield from _within(layers, layer, pin)


def _npm(layers: Path) -> Iterator[dict[str, Any]]:
    used = npm_names()
    for pin in npm_packages():
        if pin.name in used:
            fonts = "font" in pin.name or "noto" in pin.name
            licence = "Bitstream-Vera" if pin.name.startswith("dejavu") else pin.licence
            name = quote(pin.name, safe="/")
            kind = "data" if fonts else "library"
            yield _component("ChromiumLayer", kind, pin, f"pkg:npm/{name}@{quote(pin.version)}", licence)
            yield from _within(layers, "ChromiumLayer", pin)


def _within(layers: Path, layer: str, pin: Pin) -> Iterator[dict[str, Any]]:
    manifest = json.loads((layers / "ChromiumLayer" / "chromium" / "manifest.json").read_text("utf-8"))
    for name, licence in WITHIN.get(pin.name, ()):
        program = name in _BINARIES
        part = {
            "type": "application" if program else "data" if name == "open-sans" else "library",
            "bom-ref": f"{pin.name}@{pin.version}#{name}",
            "name": name,
            **({"version": pin.version.partition(".")[0] if name == "chromium" else pin.version} if program else {}),
            **_licences(licence),
            "properties": [{"name": "urlshot:layer", "value": layer}, {"name": "urlshot:part-of", "value": pin.name}],
        }
        if program:
            part["hashes"] = [{"alg": "SHA-256", "content": manifest[_BINARIES[name]]["sha256"]}]
        yield part


def _component(layer: str, kind: str, pin: Pin, purl: str, licence: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": kind,
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "purl": purl,
        **_licences(licence),
        "properties": [{"name": "urlshot:layer", "value": layer}],
    }
    if len(pin.hashes) == 1:  # of several wheels, the layer has the one for its Python
        found["hashes"] = [{"alg": "SHA-256", "content": pin.hashes[0]}]
    elif pin.integrity.startswith("sha512-"):
        content = base64.b64decode(pin.integrity.removeprefix("sha512-")).hex()
        found["hashes"] = [{"alg": "SHA-512", "content": content}]
    return found


def _licences(licence: str) -> dict[str, Any]:
    """Returns the licence as CycloneDX writes it: an expression, or the id of one licence."""
    if re.search(r" (AND|OR|WITH) ", licence):
        return {"licenses": [{"expression": licence}]}
    return {"licenses": [{"license": {"id": licence}}]}


def _licence(folder: Path, pin: Pin) -> str:
    """Returns the licence that an installed package names, as an SPDX expression.

    Raises:
        SystemExit: The package is not in the layer in this version, or names no licence that is known here.
    """
    wanted = _plain(f"{pin.name}-{pin.version}.dist-info")
    files = [place / "METADATA" for place in folder.glob("*.dist-info") if _plain(place.name) == wanted]
    if not files:
        raise SystemExit(f"{pin.name} {pin.version} is not in the built layer; run `make layers`.")
    head = HeaderParser().parsestr(files[0].read_text("utf-8"))
    if expression := head.get("License-Expression"):
        return expression
    if text := head.get("License", ""):
        text = _TEXTS.get(text, text)
        if re.fullmatch(r"[A-Za-z0-9.+-]+", text):
            return text
    named = [value.rpartition(" :: ")[2] for value in head.get_all("Classifier", []) if value.startswith("License ::")]
    known = [_CLASSIFIERS[name] for name in named if name in _CLASSIFIERS]
    if not known:
        raise SystemExit(f"{pin.name} {pin.version} names no known licence: {named or head.get('License')}")
    return " OR ".join(sorted(known)) if len(known) > 1 else known[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
