"""The documents are short, linked and wrapped, and their lists agree with the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.render.verdict import TEXTS
from infra.local.template.evaluator import load_template
from infra.openapi import documents
from infra.openapi.tables import folder_name
from tests.unit.stacks import EVERYTHING, PROJECT, stack
from urlshot.core.lease import lease_seconds

DOCUMENTS = documents.documents()
WIDTH = 120
ROOTS = ("functions", "infra", "layers", "tests", "docs")
MAKE_WORDS = re.compile(r"(?:`|^)make ([a-z-]+)((?: [A-Z]+=\S+)*)", re.MULTILINE)
CLASSES = {"CompletionData", "RenderJob", "StartMessage"}
EXAMPLES = {"AuditFunction", "AuditRole", "AuditLogs"}
"""Resources that the recipe for a consumer adds; the template does not have them."""
PARTS = {
    "README.md": {"calls", "tests/e2e/examples/tour.sh"},
    "docs/api.md": {f"tests/e2e/examples/{name}" for name in ("print_pages.py", "print-pages.mjs", "verify.py")},
    "docs/architecture.md": {"functions"},
    "docs/deploy.md": {"parameters"},
    "docs/develop.md": {"targets"},
    "docs/operate.md": {"alarms"},
    "docs/options.md": {"options"},
    "docs/problem-codes.md": {"codes"},
}
"""The generated parts of each document; the other documents have none."""


def name_of(file: Path) -> str:
    return file.relative_to(PROJECT).as_posix()


def prose(text: str) -> str:
    """Returns a document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(file: Path) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub makes them; a repeated heading gets a number."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", prose(file.read_text("utf-8")), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
        if found[anchor]:
            found[f"{anchor}-{found[anchor]}"] = 0
    return set(found)


def links(file: Path) -> Iterator[str]:
    """Yields the target of every link and picture."""
    text = re.sub(r"`[^`\n]*`", "", prose(file.read_text("utf-8")))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r'<img src="([^"]+)"', text)


def broken(file: Path, link: str) -> bool:
    """Says whether a relative link leads nowhere."""
    if re.match(r"https?://", link):
        return False
    path, _, anchor = link.partition("#")
    target = (file.parent / path).resolve() if path else file
    if not target.exists():
        return True
    return bool(anchor) and anchor not in anchors(target)


def every(pattern: str) -> set[str]:
    return {found for file in DOCUMENTS for found in re.findall(pattern, file.read_text("utf-8"))}


def test_readme_can_be_read_in_one_sitting() -> None:
    assert len(documents.README.read_text("utf-8").splitlines()) <= 250


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(file: Path) -> None:
    assert [link for link in links(file) if broken(file, link)] == []


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("docs/deploy.md", False),
        ("docs/deploy.md#parameters", False),
        ("#the-calls", False),
        ("https://example.com/nowhere", False),
        ("docs/nowhere.md", True),
        ("docs/deploy.md#nowhere", True),
        ("#nowhere", True),
    ],
)
def test_broken_links_are_recognised(link: str, expected: bool) -> None:
    assert broken(documents.README, link) is expected


def test_tests_that_documents_name_exist() -> None:
    named = every(r"`(tests/[\w/]+\.py::test_\w+)`")
    assert len(named) > 15
    missing = []
    for name in sorted(named):
        file, _, test = name.partition("::")
        text = (PROJECT / file).read_text("utf-8") if (PROJECT / file).is_file() else ""
        if re.search(rf"^(async )?def {test}\(", text, re.MULTILINE) is None:
            missing.append(name)
    assert missing == []


def test_readme_links_every_document() -> None:
    linked = {(PROJECT / link.partition("#")[0]).resolve() for link in links(documents.README) if "://" not in link}
    assert set(DOCUMENTS) - {documents.README} <= linked


def test_contributing_is_linked_from_the_top_of_readme() -> None:
    top = "\n".join(documents.README.read_text("utf-8").splitlines()[:15])
    assert "](CONTRIBUTING.md)" in top


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_lines_wrap_at_120_columns(file: Path) -> None:
    """Rows of tables, code, pictures and URLs cannot be wrapped."""
    lines = prose(file.read_text("utf-8")).splitlines()
    free = [line for line in lines if not line.startswith(("|", "<img", "![")) and "https://" not in line]
    assert [line for line in free if len(line) > WIDTH] == []


@pytest.mark.parametrize("file", DOCUMENTS, ids=name_of)
def test_generated_parts_are_up_to_date(file: Path) -> None:
    text = file.read_text("utf-8")
    assert documents.parts(text) == PARTS.get(name_of(file), set())
    assert documents.with_parts(text) == text, "run `make openapi` and look at what it changes"


def test_architecture_shows_every_function_and_consumer() -> None:
    """The diagram, the list of consumers and the runbook's log groups are not generated."""
    made = stack(**EVERYTHING)
    text = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    folders = {folder_name(name) for name in made.functions}
    beside = {folder_name(name) for name in made.beside}
    flow = text[text.index("```\n") : text.index("```\n\n")]
    assert {word for word in folders if re.search(rf"\b{word}\b", flow)} == folders - beside

    direct = {folder_name(name) for name in made.fed_by("EventBridgeRule")}
    queued = {folder_name(name) for name in made.fed_by("SQS")}
    assert len(made.of("AWS::Events::Rule")) == len(queued) == 1
    sentence = re.search(r"The consumers of the bus are (.*?)\.", text, re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[1])) == direct | queued
    assert set(re.findall(r"(?:bus ─|├|└)─▶ (\w+)", flow)) == direct | {"queue"}
    alarm = made["Monitoring.UndeliveredEventsThere"].require("AlarmDescription")  # operate.md shows it
    assert f"({', '.join(sorted(direct))})" in alarm
    security = (PROJECT / "docs" / "security.md").read_text("utf-8")
    outside = {folder_name(name) for name, one in made.functions.items() if one.property("VpcConfig") is None}
    named = re.search(r"((?:`\w+`[,\s]+)+and `\w+`) are outside the VPC", security)
    assert named is not None
    assert set(re.findall(r"`(\w+)`", named[1])) == outside
    groups = re.search(r"/urlshot/\$STACK/\{([\w,]+)\}", (PROJECT / "docs" / "operate.md").read_text("utf-8"))
    assert groups is not None
    always = {folder_name(name) for name in stack().functions}  # what looks up a log group that is not there fails
    assert set(groups[1].split(",")) == always - beside


def test_runbook_names_only_alarms_that_exist() -> None:
    resources = load_template(PROJECT / "infra" / "monitoring.yaml")["Resources"]
    alarms = {name for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    text = (PROJECT / "docs" / "operate.md").read_text("utf-8")
    after = text[text.index("<!-- /alarms -->") : text.index("## Metrics")]
    named = set(re.findall(r"`([A-Z][A-Za-z]+)`", after)) - {"Renders"}
    assert len(named) > 5
    assert named <= alarms


def test_length_of_a_lease_is_right_where_it_is_named() -> None:
    lease = lease_seconds(int(stack()["RenderFunction"].require("Timeout")))
    text = "".join(prose(file.read_text("utf-8")) for file in DOCUMENTS)
    named = re.findall(r"lease of (\d+) seconds|_retry_(\d+)s`|lease of a claim is (\d+) s", text)
    assert len(named) >= 4
    assert {int(one) for found in named for one in found if one} == {lease}


def test_rendering_explains_every_warning_of_missing_content() -> None:
    rows = re.findall(r"^\|.*\|(.*)\|$", (PROJECT / "docs" / "rendering.md").read_text("utf-8"), re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert named <= TEXTS.keys()
    assert {code for code in TEXTS if code.endswith(("_missing", "_cut"))} - named == {"glyphs_missing"}  # options.md


def test_files_that_are_named_exist() -> None:
    """Paths are in backticks and start at the root of the repository."""
    named = every(rf"`((?:{'|'.join(ROOTS)})/[\w./*-]+)`")
    assert len(named) > 60
    assert [path for path in sorted(named) if not list(PROJECT.glob(path.rstrip("/")))] == []


def test_make_targets_and_variables_that_are_named_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+) \?=|\$\(([A-Z]+)\)", makefile, re.MULTILINE))
    named = [found for file in DOCUMENTS for found in MAKE_WORDS.findall(file.read_text("utf-8"))]
    assert len(named) > 40
    assert {target for target, _ in named} <= targets
    given = {name for _, words in named for name in re.findall(r"([A-Z]+)=", words)}
    assert given <= {name for pair in variables for name in pair}


def test_names_of_the_template_that_are_used_exist() -> None:
    """Parameters, resources, outputs and alarms: words in backticks with a capital letter inside."""
    made = stack(**EVERYTHING)
    known = set(made.template.parameters) | {name.rpartition(".")[2] for name in made.all}
    known |= set(made.template.body["Outputs"]) | CLASSES | EXAMPLES
    text = "".join(prose(documents.without_parts(file.read_text("utf-8"))) for file in DOCUMENTS)
    named = set(re.findall(r"`((?:[A-Z][a-z]+){2,}|Renders)(?:=[\w-]+)?`", text))
    assert len(named) > 40
    assert named - known == set()
