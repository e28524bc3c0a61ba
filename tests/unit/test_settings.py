"""Settings: typed, frozen, and an error that names the variable."""

import pytest
from pydantic import Field, ValidationError

from urlshot.errors import Broken
from urlshot.messages import Delays
from urlshot.settings import EgressSettings


class Some(EgressSettings):
    bucket: str
    shards: int = Field(ge=1)
    delays: Delays = (5,)


def test_settings_are_read_by_their_names_and_typed() -> None:
    some = Some.read({"BUCKET": "b", "SHARDS": "2", "DELAYS": "1,2", "OTHER": "x"})
    assert (some.bucket, some.shards, some.delays) == ("b", 2, (1, 2))
    with pytest.raises(ValidationError):
        some.bucket = "c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SHARDS": "1"}, "BUCKET"),
        ({"BUCKET": "b", "SHARDS": "0"}, "SHARDS"),
        ({"BUCKET": "b", "SHARDS": "1", "DELAYS": "2,1"}, "DELAYS"),
        (
            {"BUCKET": "b", "SHARDS": "1", "LOCAL_ALLOW": "nonsense", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "LOCAL_ALLOW",
        ),
        ({"BUCKET": "b", "SHARDS": "1", "ALLOW_HOSTS": "https://example.com"}, "ALLOW_HOSTS"),
        ({"BUCKET": "b", "SHARDS": "1", "DENY_HOSTS": "example.com,*"}, "DENY_HOSTS"),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(Broken) as caught:
        Some.read(environ)
    assert f"variable {named}" in caught.value.internal


def test_private_addresses_are_opened_on_the_local_stack_only() -> None:
    environ = {"BUCKET": "b", "SHARDS": "1", "LOCAL_ALLOW": "127.0.0.1:80"}
    with pytest.raises(Broken, match="LOCAL_ALLOW"):
        Some.read(environ)
    with pytest.raises(Broken, match="LOCAL_ALLOW"):
        Some.read({**environ, "AWS_ENDPOINT_URL": "https://vpce.example.com"})
    local = Some.read({**environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"})
    decision = local.egress.for_host("127.0.0.1", 80)
    assert decision is not None
    assert decision.allowed
