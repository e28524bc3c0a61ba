"""Generates the tables of the documents from the code and the templates that they describe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from functions.api import contract
from infra.local.template.evaluator import FUNCTION_TYPE, STACK_TYPE, load_template
from infra.openapi.calls import CALLS, Call
from infra.openapi.document import PROJECT
from infra.openapi.schemas import schemas
from urlshot.core.errors import CODES
from urlshot.core.options import Options

_TARGET = re.compile(r"^([a-z-]+):.*## (.*)$", re.MULTILINE)


def _table(head: str, rows: Iterable[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + "---|" * columns, *rows]) + "\n"


def calls() -> str:
    """Returns the table of all calls: purpose, successful answers, and whether a call needs an API key."""
    rows = []
    for call in CALLS:
        answers = " ".join(
            f"{status}: {_sentence(answer.says)}" for status, answer in call.answers.items() if status != 304
        )
        rows.append(f"| {_spelled(call)} | {call.summary}. {answers} | {'yes' if call.key else ''} |")
    return _table("| call | what it does and answers | key |", rows)


def codes() -> str:
    """Returns the table of all codes that an answer, a job or an event can have."""
    return _table(
        "| code | status | cause | what to do | retryable |",
        (
            f"| `{code.name}` | {code.status} | {code.title} | {code.remedy} | {'yes' if code.retryable else 'no'} |"
            for code in CODES.values()
        ),
    )


def options() -> str:
    """Returns the table of all render options, in the order of the model."""
    found = schemas([Options], "validation")
    rows = [
        f"| `{name}` | {_values(rules, found)} | {_json(field.default)} | {field.description} |"
        for (name, field), rules in zip(
            Options.model_fields.items(), found["Options"]["properties"].values(), strict=True
        )
    ]
    return _table("| option | values | default | what it does |", rows)


def _values(rules: dict[str, Any], known: dict[str, Any]) -> str:
    """Describes the values that a schema allows in a few words."""
    if "anyOf" in rules:
        return ", or ".join(_values(one, known) for one in rules["anyOf"])
    reference = rules.get("$ref") or next((one["$ref"] for one in rules.get("allOf", [])), "")
    if reference:
        fields = known[reference.rpartition("/")[2]]["properties"]
        return "an object of " + ", ".join(f"`{name}`" for name in fields)
    if "enum" in rules:
        return ", ".join(f"`{value}`" for value in rules["enum"])
    match rules["type"]:
        case "boolean":
            return "`true`, `false`"
        case "array" if "enum" in rules["items"]:
            return f"a list of {_values(rules['items'], known)}"
        case "array":
            return f"a list of at most {rules['maxItems']} texts"
        case "number":
            return f"{rules['minimum']:g} to {rules['maximum']:g}"
        case "string" if any("mm" in one for one in rules.get("examples", [])):
            return "a length (mm, cm, in, pt, px)"
        case _:
            return f"a text of at most {rules['maxLength']:,} characters"


def _json(default: Any) -> str:
    if hasattr(default, "model_dump"):
        value = default.model_dump(mode="json")
        same = set(value.values())
        default = same.pop() if len(same) == 1 else value
    if default in ("", ()):
        return "none"
    return f"`{json.dumps(default)}`"


def parameters() -> str:
    """Returns the table of all parameters of the template."""
    declared = load_template(PROJECT / "template.yaml")["Parameters"]
    return _table(
        "| parameter | default | |",
        (f"| `{name}` | {_default(rules)} | {rules['Description']} |" for name, rules in declared.items()),
    )


def _default(rules: dict[str, Any]) -> str:
    values = [f"`{value}`" for value in rules.get("AllowedValues", [])]
    default = f"`{rules['Default']}`" if rules["Default"] != "" else "none"
    others = [value for value in values if value != default]
    return default + (f" ({', '.join(others)})" if 0 < len(others) < 5 else "")


def alarms() -> str:
    """Returns the table of all alarms with their descriptions."""
    resources = load_template(PROJECT / "infra" / "monitoring.yaml")["Resources"]
    found = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    return _table(
        "| alarm | description |", (f"| `{name}` | {alarm['AlarmDescription']} |" for name, alarm in found.items())
    )


def functions() -> str:
    """Returns the table of all functions of the template and its nested stacks, with their descriptions."""
    return _table(
        "| function | what it does |",
        (
            f"| [`{folder_name(name)}`](../functions/{folder_name(name)}) | {resource['Properties']['Description']} |"
            for name, resource in _resources(PROJECT / "template.yaml")
            if resource["Type"] == FUNCTION_TYPE
        ),
    )


def _resources(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the logical ids and bodies of all resources. Those of a nested stack follow the stack's own resource."""
    for name, resource in load_template(file)["Resources"].items():
        yield name, resource
        if resource["Type"] == STACK_TYPE:
            yield from _resources(file.parent / resource["Properties"]["TemplateURL"])


def folder_name(logical_id: str) -> str:
    """Returns the name of a function's folder: "api" for `ApiFunction`."""
    return logical_id.removesuffix("Function").lower()


def targets() -> str:
    """Returns the table of all targets that `make` lists."""
    found = _TARGET.findall((PROJECT / "Makefile").read_text("utf-8"))
    return _table("| target | what it does |", (f"| `make {name}` | {text} |" for name, text in found))


def _spelled(call: Call) -> str:
    methods = f"{call.method.upper()},HEAD" if call.head else call.method.upper()
    queries = {"url": "url=…", "options": "format=A5&…", "wait": "wait=20", "token": "token=…"}
    query = "&".join(queries[name] for name in call.parameters if name in queries)
    body = ""
    if call.body is not None:
        fields = getattr(contract, call.body).model_fields.items()
        names = ", ".join(f'"{name}"' + ("" if field.is_required() else "?") for name, field in fields)
        body = f" {{{names}}}"
    return f"`{methods} {call.path}{'?' + query if query else ''}{body}`"


def _sentence(text: str) -> str:
    return text[0].lower() + text[1:]


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table for table in (calls, codes, options, parameters, alarms, functions, targets)
}
