"""Random sequences of calls have the same answers from the simulated S3 and from moto."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.conformance.buckets import Bucket, SimulatedBucket, etag, moto_bucket

KEYS = st.sampled_from(("job/1", "job/10", "pdf/1"))
BODIES = st.sampled_from((b"a", b"b", b"cc"))
"""So few that an ETag often matches, and that an object is often replaced by an equal one."""
ETAGS = BODIES.map(etag)
CONDITIONS = st.one_of(st.just({}), st.just({"IfNoneMatch": "*"}), ETAGS.map(lambda one: {"IfMatch": one}))
METADATA = st.sampled_from(({}, {"claim": "c1"}, {"generation": "g2", "claim": "c2"}))
_numbers = count()


@pytest.mark.timeout(600)  # for a busy machine
def test_random_calls_have_the_same_answers(aws: str) -> None:
    real = moto_bucket()

    class Both(RuleBasedStateMachine):
        """Gives each call to both buckets; the calls of one run are below a prefix of their own in moto."""

        def __init__(self) -> None:
            super().__init__()
            self.simulated = SimulatedBucket()
            self.real = Bucket(real.client, real.name, f"{next(_numbers)}/")

        def compare(self, ask: Callable[[Bucket], Any]) -> None:
            assert ask(self.simulated) == ask(self.real)

        @rule(key=KEYS, body=BODIES, condition=CONDITIONS)
        def put(self, key: str, body: bytes, condition: dict[str, str]) -> None:
            self.compare(lambda bucket: bucket.put(key, body, **condition))

        @rule(key=KEYS, tag=st.none() | ETAGS)
        def delete(self, key: str, tag: str | None) -> None:
            self.compare(lambda bucket: bucket.delete(key, **({} if tag is None else {"IfMatch": tag})))

        @rule(source=KEYS, key=KEYS, tag=ETAGS, metadata=METADATA, condition=CONDITIONS)
        def copy(self, source: str, key: str, tag: str, metadata: dict[str, str], condition: dict[str, str]) -> None:
            self.compare(lambda bucket: bucket.copy(source, key, tag, metadata, **condition))

        @rule(key=KEYS, body=BODIES, largest=st.sampled_from((1, 2)), seconds=st.sampled_from((-1, 600)), other=KEYS)
        def post(self, key: str, body: bytes, largest: int, seconds: int, other: str) -> None:
            def ask(bucket: Bucket) -> tuple[int, str, str]:
                form = bucket.form(key, largest, seconds)
                return bucket.post(
                    form.model_copy(update={"fields": {**form.fields, "key": bucket.prefix + other}}), body
                )

            self.compare(ask)

        @rule(key=KEYS)
        def get(self, key: str) -> None:
            self.compare(lambda bucket: bucket.get(key))

        @rule(key=KEYS)
        def head(self, key: str) -> None:
            self.compare(lambda bucket: bucket.head(key))

        @rule(prefix=st.sampled_from(("", "job/", "job/1", "none/")))
        def list_below(self, prefix: str) -> None:
            self.compare(lambda bucket: bucket.list(prefix))

        def teardown(self) -> None:
            self.compare(lambda bucket: [(one, bucket.get(one["Key"])) for one in bucket.list()])

    run_state_machine_as_test(
        Both,
        settings=settings(
            settings.default,
            max_examples=15,
            stateful_step_count=30,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
