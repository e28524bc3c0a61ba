"""The errors: a closed list, each with what a caller needs."""

import json
import re

import pytest

from urlshot.errors import CODES, Broken, Rejected, Transient, UrlshotError, failure


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_every_code_says_what_it_is_and_what_to_do(code: object) -> None:
    found = CODES[code.name]  # type: ignore[attr-defined]
    assert re.fullmatch(r"[a-z_]+", found.name)
    assert 400 <= found.status <= 504
    assert found.title
    assert found.remedy.endswith(".")


def test_what_is_for_us_does_not_reach_the_caller() -> None:
    error = Transient("queue_unavailable", internal="amqp://10.0.0.7 password")
    assert "password" not in json.dumps(error.public())
    assert "password" in str(error)
    assert "10.0.0.7" not in json.dumps(Broken("10.0.0.7").public())


def test_a_field_is_shown_where_one_is_at_fault() -> None:
    assert Rejected("invalid_url", field="url").public()["field"] == "url"
    assert "field" not in Rejected("invalid_json").public()


def test_the_kind_follows_from_the_code() -> None:
    assert isinstance(failure("timeout"), Transient)
    assert isinstance(failure("page_status"), Rejected)


def test_an_unknown_code_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        UrlshotError("no_such_code")
