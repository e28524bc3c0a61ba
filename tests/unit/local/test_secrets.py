"""GenerateSecretString gives the secrets that Secrets Manager would give."""

import json
import string
from typing import Any

import pytest

from infra.local.cloudformation import secret_text, stringified
from infra.local.template.evaluator import TemplateError
from infra.local.template.model import Secret


def generated(**options: Any) -> str:
    return secret_text(Secret("arn", "name", None, options))


def test_password_is_in_the_template_under_its_key() -> None:
    text = generated(
        SecretStringTemplate='{"username": "x"}',
        GenerateStringKey="password",
        PasswordLength=40,
        ExcludePunctuation=True,
    )
    content = json.loads(text)
    assert content["username"] == "x"
    assert len(content["password"]) == 40
    assert content["password"].isalnum()


def test_excluded_characters_are_missing_and_each_class_is_present() -> None:
    for _ in range(50):
        text = generated(PasswordLength=8, ExcludeCharacters=",:=abc")
        assert len(text) == 8
        assert not set(text) & set(",:=abc")
        for characters in (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation):
            assert set(text) & set(characters)


def test_two_secrets_differ() -> None:
    assert generated() != generated()


def test_given_text_is_kept_unchanged() -> None:
    assert secret_text(Secret("arn", "name", "plain", None)) == "plain"


def test_unknown_option_is_an_error() -> None:
    with pytest.raises(TemplateError, match="Colour"):
        generated(Colour="red")


def test_custom_resource_gets_every_scalar_as_a_string() -> None:
    assert stringified({"a": 1, "b": [True, "x"], "c": {"d": 1.5}}) == {"a": "1", "b": ["true", "x"], "c": {"d": "1.5"}}
