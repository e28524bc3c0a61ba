"""The parts of what people read that are made: tables of calls, codes, parameters and alarms, and examples that a test
runs.

Each stands between `<!-- name -->` and `<!-- /name -->`; a part that is named by a path holds that file.
"""

from __future__ import annotations

import re
from typing import Any

from functions.api import contract
from infra.local.template import load_template
from infra.openapi.calls import CALLS, Call
from infra.openapi.document import PROJECT
from urlshot.errors import CODES

FILE = PROJECT / "README.md"
_PART = re.compile(r"<!-- (?P<name>[\w./-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)
_LANGUAGES = {".sh": "sh", ".py": "python", ".mjs": "js"}


def with_parts(text: str) -> str:
    """The README with its parts as they are now.

    Raises:
        KeyError: a part has a name that nothing makes.
    """
    return _PART.sub(lambda found: f"<!-- {found['name']} -->\n{_part(found['name'])}<!-- /{found['name']} -->", text)


def parts(text: str) -> set[str]:
    """Names of the parts that a text has."""
    return {found["name"] for found in _PART.finditer(text)}


def _part(name: str) -> str:
    if "/" in name:
        file = PROJECT / name
        return f"```{_LANGUAGES[file.suffix]}\n{file.read_text('utf-8')}```\n"
    return {"calls": calls, "codes": codes, "parameters": parameters, "alarms": alarms}[name]()


def calls() -> str:
    """A table of every call: what it is for, what it answers when all is well, and whether it needs a key."""
    rows = []
    for call in CALLS:
        answers = " ".join(
            f"{status}: {_sentence(answer.says)}" for status, answer in call.answers.items() if status != 304
        )
        rows.append(f"| {_spelled(call)} | {call.summary}. {answers} | {'yes' if call.key else ''} |")
    return "\n".join(["| call | what it does and answers | key |", "|---|---|---|", *rows]) + "\n"


def codes() -> str:
    """A table of every code that an answer, a job or an event may carry."""
    rows = [
        f"| `{code.name}` | {code.status} | {code.title} | {code.remedy} | {'yes' if code.retryable else 'no'} |"
        for code in CODES.values()
    ]
    return "\n".join(["| code | status | cause | what to do | retryable |", "|---|---|---|---|---|", *rows]) + "\n"


def parameters() -> str:
    """A table of the template's parameters."""
    declared = load_template(PROJECT / "template.yaml")["Parameters"]
    rows = [f"| `{name}` | {_default(rules)} | {rules['Description']} |" for name, rules in declared.items()]
    return "\n".join(["| parameter | default | |", "|---|---|---|", *rows]) + "\n"


def _default(rules: dict[str, Any]) -> str:
    values = [f"`{value}`" for value in rules.get("AllowedValues", [])]
    default = f"`{rules['Default']}`" if rules["Default"] != "" else "none"
    others = [value for value in values if value != default]
    return default + (f" ({', '.join(others)})" if 0 < len(others) < 5 else "")


def alarms() -> str:
    """A table of the alarms, with what each is about."""
    resources = load_template(PROJECT / "infra" / "monitoring.yaml")["Resources"]
    found = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    rows = [f"| `{name}` | {alarm['AlarmDescription']} |" for name, alarm in found.items()]
    return "\n".join(["| alarm | what it says |", "|---|---|", *rows]) + "\n"


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
