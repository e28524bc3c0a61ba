"""The page at / is served safely, and its form offers exactly the options of the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

from functions.api import site
from functions.api.http import Answer, Call
from functions.render.verdict import TEXTS
from urlshot.core.errors import Rejected
from urlshot.core.options import Options, parse_options

BASE = "https://host/prod"
STORAGE = "https://bucket.s3.eu-west-1.amazonaws.com"
BUDGET = 52_700
"""The largest size of all files of the page together, in bytes, without compression."""


def call(headers: dict[str, str] | None = None, base: str = BASE, **query: str) -> Call:
    return Call("GET", "/", base, "r-1", query=query, headers=headers or {})


def index(given: Call | None = None, *, requires_key: bool = False) -> Answer:
    return site.index(given or call(), requires_key=requires_key, pdf_origin=STORAGE)


class Markup(HTMLParser):
    """Parses a document into its elements (tag, attributes) and the values of each select by its name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.selects: dict[str, dict[str, bool]] = {}
        self._select = ""
        self._option: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag == "select":
            self._select = found.get("name", "")
        if tag == "option":
            self._option = found

    def handle_data(self, data: str) -> None:
        if self._option is not None:
            value = self._option.get("value", data.strip())
            self.selects.setdefault(self._select, {})[value] = "selected" in self._option
            self._option = None

    def named(self, *tags: str) -> Iterator[dict[str, str]]:
        for tag, attributes in self.elements:
            if tag in tags and attributes.get("name") and attributes.get("type") != "hidden":
                yield {"tag": tag, **attributes}


@pytest.fixture(scope="module")
def markup() -> Markup:
    return Markup(index().body or "")


# ---- how the page is served -----------------------------------------------------------------------------------------


def test_policy_allows_this_origin_and_frames_of_the_storage_only() -> None:
    headers = index().headers
    policy = dict(rule.split(" ", 1) for rule in str(headers["Content-Security-Policy"]).split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-src": f"'self' {STORAGE}",
        "form-action": f"'self' {STORAGE}",
        "base-uri": "'self'",
        "frame-ancestors": "'none'",
    }
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in str(headers["Permissions-Policy"])
    assert headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("base", "written"),
    [
        (BASE, '<base href="https://host/prod/">'),
        ("http://127.0.0.1:1", '<base href="http://127.0.0.1:1/">'),
        ('https://h"><script>$x', '<base href="https://h&quot;&gt;&lt;script&gt;$x/">'),
    ],
)
def test_relative_links_start_with_the_address_of_the_request(base: str, written: str) -> None:
    assert written in (index(call(base=base)).body or "")


@pytest.mark.parametrize("requires_key", [True, False])
def test_page_knows_whether_keys_are_required(requires_key: bool) -> None:
    assert f'data-requires-key="{str(requires_key).lower()}"' in (index(requires_key=requires_key).body or "")


@pytest.mark.parametrize("ask", [index, lambda given: site.file(given, "page.js"), site.contract])
def test_client_with_the_current_version_gets_a_304(ask: Any) -> None:
    whole = ask(call())
    etag = str(whole.headers["ETag"])
    assert re.fullmatch(r'"[0-9a-f]{32}"', etag)
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = ask(call(headers={"if-none-match": given}))
        assert (answer.status, answer.body) == (304, "")
        assert answer.headers["ETag"] == etag and "Cache-Control" in answer.headers
    assert ask(call(headers={"if-none-match": '"other"'})).status == 200


def test_tag_changes_with_the_content() -> None:
    assert index().headers["ETag"] != index(call(base="https://other")).headers["ETag"]


def test_file_of_this_version_is_immutable_and_others_are_revalidated() -> None:
    version = site.files().version
    assert "immutable" in str(site.file(call(v=version), "page.css").headers["Cache-Control"])
    for given in (call(), call(v="0" * 12)):
        assert site.file(given, "page.css").headers["Cache-Control"] == "no-cache"


def test_modules_import_each_other_in_one_version() -> None:
    version = site.files().version
    for name, text in site.files().texts.items():
        for address in re.findall(r'from "(.*?)"', text if name.endswith(".js") else ""):
            assert re.fullmatch(rf"\./[a-z]+\.js\?v={version}", address)
            assert address[2:].partition("?")[0] in site.files().texts


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../site.py", "..%2fsite.py", "/etc/passwd", "page.js/", "page.js\0", "site.py", "index.html"],
)
def test_other_name_is_not_found(name: str) -> None:
    with pytest.raises(Rejected) as error:
        site.file(call(), name)
    assert error.value.code.name == "not_found"


# ---- the files of the page ------------------------------------------------------------------------------------------


def test_references_of_the_page_are_exactly_its_files(markup: Markup) -> None:
    attributes = [pair for _, found in markup.elements for pair in found.items()]
    addresses = {value.partition("?")[0] for name, value in attributes if name in ("src", "href")}
    files = {address.removeprefix("page/") for address in addresses if address.startswith("page/")}
    assert addresses - {f"page/{name}" for name in files} == {f"{BASE}/", "openapi.json", "health"}
    imported = {name for text in site.files().texts.values() for name in re.findall(r'from "\./([a-z]+\.js)', text)}
    assert files | imported | {"index.html"} == {path.name for path in site.FOLDER.iterdir()}
    for name in files:
        assert site.file(call(), name).status == 200


def test_page_has_no_inline_script_or_style_and_no_other_origin(markup: Markup) -> None:
    for tag, attributes in markup.elements:
        assert tag != "style" and (tag != "script" or attributes["src"].startswith("page/"))
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for path in site.FOLDER.iterdir():
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org", "https://example.com"}


def test_page_stays_small_and_each_file_readable() -> None:
    texts = [path.read_text() for path in site.FOLDER.iterdir()]
    assert sum(len(text.encode()) for text in texts) < BUDGET
    assert max(text.count("\n") for text in texts) < 300
    assert max(len(line) for text in texts for line in text.splitlines()) <= 130


def test_ids_are_unique_and_references_to_them_exist(markup: Markup) -> None:
    ids = [attributes["id"] for _, attributes in markup.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in markup.elements:
        for name in ("for", "aria-describedby", "aria-labelledby"):
            assert set(attributes.get(name, "").split()) <= set(ids)
    scripts = "".join(path.read_text() for path in site.FOLDER.glob("*.js"))
    assert set(re.findall(r'(?:find|getElementById)\("([\w-]+)"\)', scripts)) <= set(ids)


def test_explained_warnings_exist() -> None:
    explained = re.search(r"const ADVICE = \{(.*?)\};", (site.FOLDER / "words.js").read_text(), re.DOTALL)
    assert explained is not None
    assert set(re.findall(r"^  (\w+):", explained[1], re.MULTILINE)) <= set(TEXTS)


# ---- the form against the options -----------------------------------------------------------------------------------

SCHEMA = Options.model_json_schema()
TEXTS_OF_PATTERNS = ("en", "en-US", "zh-Hans-CN", "e", "Europe/Berlin", "Etc/GMT+1", "1x", "é", "a b", "UTC")


def described(path: str) -> dict[str, Any]:
    """Returns the schema of an option, or of one of its fields."""
    found: dict[str, Any] = SCHEMA
    for name in path.split("."):
        found = found["properties"][name]
        reference = found.get("$ref") or found.get("anyOf", [{}])[0].get("$ref", "")
        if reference:
            found = {**found, **SCHEMA["$defs"][reference.rpartition("/")[2]]}
    return found


def default(path: str) -> Any:
    found: Any = Options()
    for name in path.split("."):
        found = getattr(found, name)
    return found


def paths() -> set[str]:
    """Returns the names of all options; for an option with fields, the names of its fields."""
    return {
        f"{name}.{field}" if field else name
        for name in Options.model_fields
        for field in (list(described(name).get("properties", [])) or [""])
    }


def test_form_has_every_option_and_nothing_else(markup: Markup) -> None:
    names = {control["name"] for control in markup.named("input", "select", "textarea")}
    assert names == paths() | {"url", "margin"}


def test_choices_are_the_options_and_start_at_the_default(markup: Markup) -> None:
    for name, values in markup.selects.items():
        if name in ("", "margin"):
            continue
        assert list(values) == described(name)["enum"] or set(values) == set(described(name)["enum"])
        assert [value for value, selected in values.items() if selected] == [default(name)]
    for value, selected in markup.selects["margin"].items():
        assert parse_options({"margin": value}).margin.top == value
        assert selected == (parse_options({"margin": value}) == Options())


def test_boxes_start_at_the_default(markup: Markup) -> None:
    boxes: dict[str, list[dict[str, str]]] = {}
    for control in markup.named("input"):
        if control.get("type") in ("checkbox", "radio"):
            boxes.setdefault(control["name"], []).append(control)
    for name, controls in boxes.items():
        chosen = [control.get("value") for control in controls if "checked" in control]
        if isinstance(default(name), tuple):
            assert {control["value"] for control in controls} == set(described(name)["items"]["enum"])
            assert chosen == list(default(name))
        elif len(controls) == 2:
            assert chosen == [str(default(name)).lower()]
        else:
            assert bool(chosen) is default(name)


def test_fields_have_the_bounds_and_defaults_of_the_options(markup: Markup) -> None:
    for control in markup.named("input", "textarea"):
        name = control["name"]
        if name == "url" or control.get("type") in ("checkbox", "radio"):
            continue
        schema = described(name)
        if control.get("type") == "number":
            bounds = (float(control["min"]), float(control["max"]), float(control["value"]))
            assert bounds == (schema["minimum"], schema["maximum"], default(name))
        else:
            shown = control.get("placeholder" if name.startswith("margin.") else "value", "")
            assert shown == (default(name) or "")
            if "maxLength" in schema:
                assert int(control["maxlength"]) == schema["maxLength"]
            if "pattern" in control:
                theirs = re.compile(schema["pattern"])
                ours = re.compile(control["pattern"])
                for text in TEXTS_OF_PATTERNS:
                    assert bool(ours.fullmatch(text)) == bool(theirs.fullmatch(text))
