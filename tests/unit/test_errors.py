"""Tests of the errors: each code of the closed list tells a caller what happened and what to do."""

import json
import re

import pytest

from urlshot.core.errors import CODES, Broken, Rejected, Transient, UrlshotError, failure


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_code_has_a_title_and_a_remedy(code: object) -> None:
    found = CODES[code.name]  # type: ignore[attr-defined]
    assert re.fullmatch(r"[a-z_]+", found.name)
    assert 400 <= found.status <= 504
    assert found.title
    assert found.remedy.endswith(".")


def test_internal_text_does_not_reach_the_caller() -> None:
    error = Transient("queue_unavailable", internal="amqp://10.0.0.7 password")
    assert "password" not in json.dumps(error.public())
    assert "password" in str(error)
    assert "10.0.0.7" not in json.dumps(Broken("10.0.0.7").public())


def test_wrong_field_is_shown_to_the_caller() -> None:
    assert Rejected("invalid_url", field="url").public()["field"] == "url"
    assert "field" not in Rejected("invalid_json").public()


def test_code_decides_the_kind_of_failure() -> None:
    assert isinstance(failure("timeout"), Transient)
    assert isinstance(failure("page_status"), Rejected)


def test_unknown_code_raises_a_key_error() -> None:
    with pytest.raises(KeyError):
        UrlshotError("no_such_code")
