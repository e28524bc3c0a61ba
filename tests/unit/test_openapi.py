"""The contract of the endpoint is up to date and valid, and its examples are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions.api.app import ROUTES
from infra.openapi import document
from infra.openapi.calls import CALLS
from tests.contract import Contract
from urlshot.core.errors import CODES
from urlshot.core.identity import job_id
from urlshot.core.options import Options

MAKE = "run `make openapi` and check what it changes"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


def test_contract_is_up_to_date() -> None:
    assert document.FILE.read_text("utf-8") == document.text(), MAKE


def test_contract_is_valid_openapi_3_1() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document.document()).iter_errors()] == []


def test_calls_of_the_contract_are_those_of_the_api() -> None:
    described: dict[str, set[str]] = {}
    for call in CALLS:
        described.setdefault(call.path, set()).add(call.method.upper())
    assert described == {path: set(handlers) for path, handlers in ROUTES.items()}


def examples(contract: Contract) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yields every example of the document with its schema."""

    def walk(value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
        if isinstance(value, list):
            for item in value:
                yield from walk(item)
        if isinstance(value, dict):
            if isinstance(value.get("schema"), dict):
                yield from ((value["schema"], one["value"]) for one in value.get("examples", {}).values())
                if "example" in value:
                    yield value["schema"], value["example"]
            elif isinstance(value.get("examples"), list):
                yield from ((value, one) for one in value["examples"])
            for item in value.values():
                yield from walk(item)

    return walk(contract.document)


def test_every_example_fits_its_schema(contract: Contract) -> None:
    found = list(examples(contract))
    assert len(found) > 20
    assert [
        (contract.value_faults(schema, value), value) for schema, value in found if contract.value_faults(schema, value)
    ] == []


def test_ids_of_the_examples_follow_from_their_urls(contract: Contract) -> None:
    jobs = [value for _, value in examples(contract) if isinstance(value, dict) and {"id", "url"} <= set(value)]
    assert len(jobs) >= 5
    for job in jobs:
        options = Options.model_validate(job.get("options", {})).changed()
        assert job["id"] == job_id(job["url"], options)
        assert job["links"]["self"].endswith(f"/pdf/{job['id']}")


def test_every_code_is_described_by_a_call_that_can_give_it() -> None:
    of_calls = {code for call in CALLS for code in call.codes}
    # Of AMQP messages, of waiting jobs, and of calls that do not exist.
    assert set(CODES) - of_calls == {"message_expired", "throttled", "method_not_allowed"}


@pytest.mark.parametrize(
    ("name", "text", "fits"),
    [
        ("Options", {"margin": "1cm"}, True),
        ("Options", {"margin": {"top": " 0.5in "}}, True),
        ("Options", {"margin": "1em"}, False),
        ("Options", {"width": "", "page_ranges": "1-3, 5"}, True),
        ("Options", {"page_ranges": "one"}, False),
        ("Options", {"scale": 2.5}, False),
        ("Options", {"paper": "A4"}, False),
        ("PdfRequest", {"url": "https://example.com/", "private": {"headers": {"a b": "x"}}}, False),
        ("PdfRequest", {"url": "https://example.com/", "private": {"headers": {"a": "x"}}}, True),
        ("PdfRequest", {"options": {}}, False),
    ],
)
def test_schema_accepts_what_the_api_accepts(contract: Contract, name: str, text: Any, fits: bool) -> None:
    faults = contract.value_faults({"$ref": f"urn:urlshot:openapi#/components/schemas/{name}"}, text)
    assert (faults == []) is fits


def test_published_schemas_allow_new_fields_and_our_check_does_not(contract: Contract) -> None:
    """A client that validates answers must accept fields that we add later, but our own tests must know each field."""
    published = json.loads(document.text())["components"]["schemas"]
    assert not [name for name in ("Job", "PdfThere", "Problem", "Report") if "additionalProperties" in published[name]]
    job = next(value for _, value in examples(contract) if isinstance(value, dict) and value.get("state") == "done")
    reference = {"$ref": "urn:urlshot:openapi#/components/schemas/Job"}
    assert contract.value_faults(reference, {**job, "generation": "x"}) != []
