"""Settings are typed and frozen, and an error names the variable."""

import pytest
from pydantic import Field, ValidationError

from urlshot.core.errors import Broken
from urlshot.core.messages import Delays
from urlshot.core.settings import EgressSettings, OutgoingSettings


class Some(EgressSettings):
    bucket: str
    renders: int = Field(ge=1)
    delays: Delays = (5,)


def test_settings_are_read_by_their_names_and_typed() -> None:
    some = Some.read({"BUCKET": "b", "RENDERS": "2", "DELAYS": "1,2", "OTHER": "x"})
    assert (some.bucket, some.renders, some.delays) == ("b", 2, (1, 2))
    with pytest.raises(ValidationError):
        some.bucket = "c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"RENDERS": "1"}, "BUCKET"),
        ({"BUCKET": "b", "RENDERS": "0"}, "RENDERS"),
        ({"BUCKET": "b", "RENDERS": "1", "DELAYS": "2,1"}, "DELAYS"),
        (
            {"BUCKET": "b", "RENDERS": "1", "LOCAL_ALLOW": "nonsense", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "LOCAL_ALLOW",
        ),
        ({"BUCKET": "b", "RENDERS": "1", "ALLOW_HOSTS": "https://example.com"}, "ALLOW_HOSTS"),
        ({"BUCKET": "b", "RENDERS": "1", "DENY_HOSTS": "example.com,*"}, "DENY_HOSTS"),
    ],
)
def test_wrong_variable_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(Broken) as caught:
        Some.read(environ)
    assert f"variable {named}" in caught.value.internal


class Out(OutgoingSettings):
    local_ca: str = ""


def test_local_ca_is_refused_on_aws() -> None:
    with pytest.raises(Broken, match="LOCAL_CA"):
        Out.read({"LOCAL_CA": "/ca.pem"})
    assert Out.read({"LOCAL_CA": "/ca.pem", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}).local_ca == "/ca.pem"


def test_denied_host_stays_denied_if_its_port_is_opened() -> None:
    environ = {"DENY_HOSTS": "api.example, other.example", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    egress = Out.read({**environ, "LOCAL_ALLOW": "127.0.0.1:80,api.example:80"}).egress
    decisions = [egress.for_host(host, 80) for host in ("127.0.0.1", "api.example", "other.example")]
    assert [decision and decision.allowed for decision in decisions] == [True, False, False]


def test_private_address_can_be_opened_on_the_local_stack_only() -> None:
    environ = {"BUCKET": "b", "RENDERS": "1", "LOCAL_ALLOW": "127.0.0.1:80"}
    with pytest.raises(Broken, match="LOCAL_ALLOW"):
        Some.read(environ)
    with pytest.raises(Broken, match="LOCAL_ALLOW"):
        Some.read({**environ, "AWS_ENDPOINT_URL": "https://vpce.example.com"})
    local = Some.read({**environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    decision = local.egress.for_host("127.0.0.1", 80)
    assert decision is not None
    assert decision.allowed
