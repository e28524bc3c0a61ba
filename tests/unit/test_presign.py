"""Signed links: the same parameters and signature as those that botocore makes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from urlshot.adapters.presign import Signer
from urlshot.adapters.store import Store

BUCKET, ID = "a-bucket", "0" * 40
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
REGIONS = ("us-east-1", "eu-west-1", "cn-north-1")


def client(region: str, token: str | None = None) -> Any:
    config = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})
    return botocore.session.Session().create_client(
        "s3", region, aws_access_key_id="AKID", aws_secret_access_key="key", aws_session_token=token, config=config
    )


CLIENTS = {region: client(region) for region in REGIONS}


def botocores(s3: Any, head: bool, disposition: str, seconds: int) -> str:
    return str(
        s3.generate_presigned_url(
            "head_object" if head else "get_object",
            Params={
                "Bucket": BUCKET, "Key": f"pdf/{ID}.pdf", "ResponseContentDisposition": disposition,
                "ResponseContentType": "application/pdf",
            },
            ExpiresIn=seconds,
        )
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def still() -> Any:
    """Stops the clock of the signatures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda **_: NOW.replace(tzinfo=None))
        patch.setattr("urlshot.adapters.store.Signer", partial(Signer, clock=lambda: NOW))
        yield


def parts(link: str) -> tuple[str, dict[str, list[str]]]:
    base, _, query = link.partition("?")
    return base, parse_qs(query, strict_parsing=True)


@given(
    st.sampled_from(REGIONS), st.booleans(), st.booleans(), st.from_regex(r"[A-Za-z0-9.-]{1,100}", fullmatch=True),
    st.integers(60, 3600),
)  # fmt: skip
def test_link_equals_that_of_botocore(region: str, head: bool, save: bool, name: str, seconds: int) -> None:
    s3 = CLIENTS[region]
    disposition = f'{"attachment" if save else "inline"}; filename="{name}"'
    made = Store(BUCKET, s3).link(ID, seconds, name, head=head, save=save)
    assert parts(made) == parts(botocores(s3, head, disposition, seconds))


@given(st.text("abc/+= ~_-.", min_size=1))
@settings(max_examples=10, deadline=None)  # each makes a client
def test_link_of_a_role_equals_that_of_botocore(token: str) -> None:
    s3 = client("eu-west-1", token)
    made = Store(BUCKET, s3).link(ID, 60, "a.pdf")
    assert parts(made) == parts(botocores(s3, False, 'inline; filename="a.pdf"', 60))
