"""Thousands of mixed requests run in parallel: every answer conforms to the contract, and none is a 5xx."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.conftest import Answer, Pages, Stack, call, eventually

REQUESTS = 2000
SIDE_BY_SIDE = 12
NEW_PAGES = 150
"""The number of different pages, so that most requests join a job or hit a PDF."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_thousand_mixed_requests_get_no_5xx(stack: Stack, pages: Pages) -> None:
    drawn = random.Random(42)
    known: list[str] = [str(stack.post(pages.url("/soak-first")).json()["id"])]

    def page() -> str:
        return pages.url(f"/soak-{drawn.randrange(NEW_PAGES)}")

    def asked(answer: Answer) -> Answer:
        if answer.status in (200, 202):
            known.append(answer.json()["id"])
        return answer

    def get(path: str, method: str = "GET") -> Answer:
        return call(method, stack.endpoint + path)

    kinds: dict[str, tuple[int, Callable[[], Answer]]] = {
        "ask": (30, lambda: asked(stack.post(page()))),
        "ask with options": (5, lambda: asked(stack.post(page(), options={"format": drawn.choice(["A5", "Letter"])}))),
        "ask again": (1, lambda: asked(stack.post(page(), max_age=0))),
        "batch": (2, lambda: call("POST", f"{stack.endpoint}/pdf/batch", {"requests": [{"url": page()}] * 10})),
        "refused": (8, lambda: stack.post(drawn.choice(["http://10.0.0.1/", "ftp://x/", "nonsense", ""]))),
        "no json": (4, lambda: call("POST", f"{stack.endpoint}/pdf", data=drawn.randbytes(drawn.randrange(200)))),
        "look": (25, lambda: get(f"/pdf/{drawn.choice(known)}?wait={drawn.choice([0, 0, 0, 1, 5])}")),
        "look at nothing": (5, lambda: get(f"/pdf/{drawn.randbytes(20).hex()}")),
        "head": (5, lambda: get(f"/pdf/{drawn.choice(known)}", "HEAD")),
        "file": (8, lambda: get(f"/pdf/{drawn.choice(known)}/file")),
        "report": (5, lambda: get(f"/pdf/{drawn.choice(known)}/report")),
        "download": (4, lambda: get(f"/pdf?url={page()}")),
        "health": (2, lambda: get("/health")),
        "wrong method": (2, lambda: get("/pdf", "PATCH")),
    }
    names, weights = list(kinds), [weight for weight, _ in kinds.values()]
    plan = drawn.choices(names, weights, k=REQUESTS)
    seen: Counter[tuple[str, int]] = Counter()

    def one(kind: str) -> None:
        seen[kind, kinds[kind][1]().status] += 1

    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        list(threads.map(one, plan))
    for (kind, status), number in sorted(seen.items()):
        print(f"{kind:18} {status} {number:5}")
    assert sum(seen.values()) == REQUESTS
    assert {kind for kind, _ in seen} == set(kinds)
    assert not {(kind, status): number for (kind, status), number in seen.items() if status >= 500}
    # Every accepted job ends.
    for job in set(known):
        assert stack.ended(job)["state"] == "done"
    channel = stack.channel()
    eventually(lambda: channel.queue_declare("generate_shot", passive=True).message_count == 0, "an empty queue")
    channel.connection.close()
