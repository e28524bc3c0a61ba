"""A URL names an existing broker. A missing broker is installed, or the error says what to install."""

import shutil
from pathlib import Path

import pytest

from infra.local.broker.install import ensure_installed
from infra.local.broker.rabbitmq import BrokerError, ExistingBroker, with_credentials


def test_existing_broker_is_read_from_its_url() -> None:
    broker = ExistingBroker("amqp://ad%40min:p%2Fw@broker.example", None)
    assert (broker.amqp, broker.console) == ("amqp://broker.example:5672", "http://broker.example:15672")
    assert (broker.user, broker.password) == ("ad@min", "p/w")
    assert ExistingBroker("amqps://a:b@h/", "https://h:1/").amqp == "amqps://h:5671"


@pytest.mark.parametrize(
    "url", ["http://a:b@h", "amqp://h:5672", "amqp://a@h", "amqp://a:b@h/other", "amqp://a:b@", "nonsense"]
)
def test_url_of_no_broker_is_refused(url: str) -> None:
    with pytest.raises(BrokerError):
        ExistingBroker(url, None)


def test_credentials_are_escaped_in_the_url() -> None:
    assert with_credentials("amqp://h:1", "a@b", "c/d:e") == "amqp://a%40b:c%2Fd%3Ae@h:1/"


def test_error_without_apt_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(BrokerError, match="Install RabbitMQ"):
        ensure_installed(lambda _text: None, tmp_path / "absent")


def test_installed_broker_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    server = tmp_path / "rabbitmq-server"
    server.touch()
    said: list[str] = []
    ensure_installed(said.append, server)
    assert said == []  # it would show a command before it runs it
