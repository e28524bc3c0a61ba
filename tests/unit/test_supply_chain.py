"""The pins, the reading of the advisory databases, and NOTICE."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.supply_chain.audit import Found, read_npm, read_python, report, rounds
from infra.supply_chain.hashes import hashes_of, with_hashes
from infra.supply_chain.pins import DEPLOYED, PROJECT, Pin, all_python_pins, npm_names, npm_packages, python_pins
from infra.supply_chain.sbom import WITHIN

NOTICE = " ".join((PROJECT / "NOTICE").read_text("utf-8").split())
PINS = [Pin("a-b", "1"), Pin("c", "2")]
CLEAN = {"name": "A_b", "version": "1", "vulns": []}
BAD = {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("answer", "findings", "missing", "reason"),
    [
        ({"dependencies": [CLEAN, {**BAD, "vulns": []}]}, 0, [], ""),
        ({"dependencies": [CLEAN, BAD]}, 1, [], ""),
        ({"dependencies": [CLEAN, SKIPPED]}, 0, ["c"], "Dependency not found on PyPI"),
        ({"dependencies": [CLEAN]}, 0, ["c"], "no route"),
        (None, 0, ["a-b", "c"], "no route"),
        ([], 0, ["a-b", "c"], "no route"),
    ],
)
def test_package_that_pip_audit_did_not_look_up_is_missing(
    answer: object, findings: int, missing: list[str], reason: str
) -> None:
    found = read_python(answer, "no route", PINS)
    assert (len(found.findings), found.missing, found.reason) == (findings, missing, reason)


def test_two_versions_of_a_package_are_audited_in_two_rounds() -> None:
    first, second, other = Pin("a.b", "1"), Pin("A-b", "2"), Pin("c", "1")
    assert rounds([first, second, other]) == [[first, other], [second]]
    found = rounds(all_python_pins())
    assert sorted(pin.version for some in found for pin in some) == sorted(pin.version for pin in all_python_pins())
    assert len(found) > 1  # the fuzzer has one version for each range of Pythons


@pytest.mark.parametrize(
    ("answer", "findings", "missing", "reason"),
    [
        ({"vulnerabilities": {}}, 0, [], ""),
        ({"vulnerabilities": {"x": {"severity": "high", "via": ["y", {"title": "bad"}]}}}, 1, [], ""),
        ({"message": "405 Method Not Allowed"}, 0, ["x"], "405 Method Not Allowed"),
        (None, 0, ["x"], "no npm"),
    ],
)
def test_npm_audit_without_an_answer_looks_nothing_up(
    answer: object, findings: int, missing: list[str], reason: str
) -> None:
    found = read_npm(answer, "no npm", ["x"])
    assert (len(found.findings), found.missing, found.reason) == (findings, missing, reason)


@pytest.mark.parametrize(
    ("found", "strict", "status"),
    [
        (Found("npm", 2), False, 0),
        (Found("npm", 2), True, 0),
        (Found("npm", 2, ["x: high"]), False, 1),
        (Found("npm", 2, missing=["x"], reason="none"), False, 0),
        (Found("npm", 2, missing=["x"], reason="none"), True, 1),
        (Found("npm", 2, ["y: low"], ["x"]), False, 1),
    ],
)
def test_gap_is_shown_and_fails_only_a_strict_audit(found: Found, strict: bool, status: int) -> None:
    lines, got = report([found], strict=strict)
    assert got == status
    assert f"{2 - len(found.missing)} of 2 packages looked up" in lines[0]
    assert any("NOT AUDITED" in line for line in lines) == bool(found.missing)


def test_every_python_requirement_is_pinned() -> None:
    for file in (file for root in ("layers", "infra", "tests") for file in (PROJECT / root).rglob("requirements*.txt")):
        lines = [line for line in file.read_text("utf-8").splitlines() if re.match(r"\w", line)]
        assert len(lines) == len(list(python_pins(file))), file
    assert len(all_python_pins()) > 40


DEPLOYED_FILES = [file for files in DEPLOYED.values() for file in files]


@pytest.mark.parametrize("file", DEPLOYED_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_requirement_of_a_layer_has_hashes(file: Path) -> None:
    """So pip installs nothing else, and refuses a file that was replaced."""
    pins = list(python_pins(file))
    assert pins
    assert [pin.name for pin in pins if not pin.hashes] == []
    text = file.read_text("utf-8")
    assert text.count("--hash=sha256:") == sum(len(pin.hashes) for pin in pins)
    assert "://" not in text  # no address of a registry


@pytest.mark.parametrize("recipe", ["shared/Makefile", "chromium/build.py", "chromium/typefaces.py"])
def test_every_build_of_a_layer_requires_hashes(recipe: str) -> None:
    text = (PROJECT / "layers" / recipe).read_text("utf-8")
    assert text.count('"pip", "install"') + text.count("-m pip install") == text.count("--require-hashes") == 1


def test_package_with_compiled_code_has_hashes_for_each_python() -> None:
    """CPython 3.11 to 3.13 on two processors, or one stable ABI for all. Lambda has 3.13."""
    pins = {pin.name: pin for file in DEPLOYED_FILES for pin in python_pins(file)}
    for name in ("ada-url", "cffi", "pybase64", "pydantic-core", "pynacl", "zstandard"):
        assert len(pins[name].hashes) >= 6, name


WHEEL = "https://registry.example/x-1-{}.whl"


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64", True),
        ("cp311-cp311-manylinux_2_28_aarch64", True),
        ("cp38-abi3-manylinux_2_34_x86_64", True),
        ("py3-none-manylinux_2_28_x86_64", True),
        ("cp314-cp314t-manylinux_2_28_x86_64", False),
        ("cp313-cp313-musllinux_1_2_x86_64", False),
        ("cp313-cp313-manylinux2014_i686", False),
        ("cp313-cp313-macosx_11_0_arm64", False),
        ("cp313-cp313-win_amd64", False),
        ("pp311-pypy311_pp73-manylinux2014_x86_64", False),
        ("graalpy312-graalpy250_312_native-manylinux2014_x86_64", False),
    ],
)
def test_hashes_are_those_of_wheels_that_pip_may_choose(tags: str, kept: bool) -> None:
    always, other = {"url": WHEEL.format("py3-none-any"), "hashes": {"sha256": "b" * 64}}, "a" * 64
    wheels = [always, {"url": WHEEL.format(tags), "hashes": {"sha256": other}}]
    package = {"name": "X_y", "version": "1", "wheels": wheels, "sdist": {"hashes": {"sha256": "c" * 64}}}
    assert hashes_of({"packages": [package]}) == {"x-y": [other, "b" * 64] if kept else ["b" * 64]}


def test_package_without_a_wheel_is_an_error() -> None:
    with pytest.raises(SystemExit, match="x 1 has no wheel"):
        hashes_of({"packages": [{"name": "x", "version": "1", "sdist": {"hashes": {"sha256": "c" * 64}}}]})


@pytest.mark.parametrize(
    "before",
    [
        "# About.\nX_y==1\n\nz==2\n",
        "# About.\nX_y==1 --hash=sha256:old\n\nz==2 \\\n    --hash=sha256:older \\\n    --hash=sha256:oldest\n",
        "# About.\nX_y==1\n    --hash=sha256:of-an-older-version\n\nz==2 \\\n    --hash=sha256:old\n",
    ],
)
def test_renewed_hashes_replace_the_old_ones_and_keep_comments(before: str) -> None:
    after = with_hashes(before, {"x-y": ["a", "b"], "z": ["c"]})
    assert after == "# About.\nX_y==1 \\\n    --hash=sha256:a \\\n    --hash=sha256:b\n\nz==2 \\\n    --hash=sha256:c\n"
    assert with_hashes(after, {"x-y": ["a", "b"], "z": ["c"]}) == after


def test_every_npm_package_is_pinned_by_its_hash() -> None:
    packages = list(npm_packages())
    assert [pin.name for pin in packages if not re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", pin.integrity)] == []
    assert npm_names() <= {pin.name for pin in packages}


def test_build_downloads_by_pip_npm_and_apt_only() -> None:
    """What they fetch is pinned by version, by hash, or signed; another download would need a hash of its own."""
    other = re.compile(r"\b(curl|wget|urlretrieve|git clone)\b")
    files = [PROJECT / "Makefile", *PROJECT.glob("*/Makefile"), *PROJECT.glob("layers/*/Makefile")]
    files += [*PROJECT.glob("layers/chromium/*.py"), *PROJECT.glob("infra/local/broker/*.py")]
    assert len(files) > 8
    assert [file.name for file in files if other.search(file.read_text("utf-8"))] == []


def test_notice_names_every_python_package() -> None:
    names = {pin.name for files in DEPLOYED.values() for file in files for pin in python_pins(file)}
    plain = re.sub(r"[-_]", "-", NOTICE).lower()
    assert len(names) > 20
    assert sorted(name for name in names if re.search(rf"\b{name.lower().replace('_', '-')}\b", plain) is None) == []


def test_notice_names_every_npm_package() -> None:
    def named(name: str) -> bool:
        if name.startswith("@expo-google-fonts/"):  # NOTICE lists these by their scripts
            words = name.rpartition("/noto-")[2].removeprefix("sans-").replace("-", " ")
            return re.search(rf"\b{words}\b", NOTICE, re.IGNORECASE) is not None
        return (name if name.startswith("@") else name.partition("-fonts-ttf")[0]) in NOTICE.replace("DejaVu", "dejavu")

    assert sorted(name for name in npm_names() if not named(name)) == []


def test_notice_names_software_within_packages() -> None:
    parts = {name for within in WITHIN.values() for name, _ in within} - {"zstd", "open-sans"}
    text = NOTICE.lower()
    assert sorted(name for name in parts if name not in text) == []
    assert "zstandard library" in text and "open sans" in text


@pytest.mark.parametrize("layer", sorted(DEPLOYED))
def test_notice_names_no_other_version_than_the_pin(layer: str) -> None:
    pins = [pin for file in DEPLOYED[layer] for pin in python_pins(file)]
    pins += [pin for pin in npm_packages() if pin.name in npm_names()] if layer == "ChromiumLayer" else []
    for pin in pins:
        found = re.search(rf"{re.escape(pin.name)} (\d[\w.]*\d)", NOTICE)
        assert found is None or found[1] == pin.version, pin.name
