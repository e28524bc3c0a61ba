"""The local stack reads partial batch responses as Lambda does."""

import pytest

from infra.local.sources.sqs import failed_of

IDS = {"a", "b"}


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (b"null", set()),
        (b"{}", set()),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": null}', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}]}', {"a"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}', IDS),
        (b'{"batchItemFailures": [{"itemIdentifier": "c"}]}', IDS),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', IDS),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', IDS),
        (b'{"batchItemFailures": [{"itemIdentifier": {}}]}', IDS),
        (b'{"batchItemFailures": [{"id": "a"}]}', IDS),
        (b'{"batchItemFailures": ["a"]}', IDS),
        (b'"fine"', IDS),
        (b"[1]", IDS),
        (b"", IDS),
    ],
)
def test_malformed_response_fails_the_whole_batch(payload: bytes, failed: set[str]) -> None:
    assert failed_of(payload, IDS) == failed
