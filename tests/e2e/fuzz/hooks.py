"""Limits what schemathesis asks the endpoint for: URLs that are refused, and one page of the test that prints fast.

The endpoint reads and checks the whole request before it refuses a URL, and it renders nothing. So half of the requests
have a URL that is refused. Requests that would take long, and requests with an ambiguous query, always have one.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis import strategies as st

PAGE = os.environ["FUZZ_PAGE"]
JOBS = os.environ["FUZZ_JOBS"].split(",")
"""Ids of jobs that exist."""

REFUSED = [
    "http://10.0.0.1/",
    "https://[::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:1/",
    "https://user:password@example.com/",
    "ftp://example.com/",
]
SLOW = {"delay", "wait_for", "wait_expression", "wait_until", "consent", "device_scale"}
"""Options that can make a render take long."""

URLS = [*REFUSED, *[PAGE] * len(REFUSED)]

schemathesis.openapi.format("uri", st.sampled_from(URLS))
LINE = 6000
"""The longest query sent, in characters. Every server accepts it; how API Gateway answers longer ones is not ours."""


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Changes a generated request: no job leaves this machine or waits, and every second id is the id of a job.

    The choice depends on the generated data alone, so that a run can be repeated.
    """
    requests = [case.query, case.body]
    if isinstance(case.body, dict) and isinstance(case.body.get("requests"), list):
        requests += case.body["requests"]
    for asked in requests:
        if isinstance(asked, dict) and isinstance(asked.get("url"), str):
            options = asked.get("options")
            slow = SLOW & set(asked) or (isinstance(options, dict) and SLOW & set(options))
            unclear = asked is case.query and (_shortened(asked) or _is_unclear(asked))
            if asked["url"] in URLS:
                choice = REFUSED if slow or unclear else URLS
                asked["url"] = choice[zlib.crc32(repr(asked).encode()) % len(choice)]
            elif asked["url"].startswith("http"):
                asked["url"] = REFUSED[0]
    given = (case.path_parameters or {}).get("id")
    if isinstance(given, str) and re.fullmatch("[0-9a-f]{32}|[0-9a-f]{40}", given) and (number := ord(given[-1])) % 2:
        case.path_parameters["id"] = JOBS[number // 2 % len(JOBS)]


def _shortened(query: dict[str, Any]) -> bool:
    """Cuts the longest parameters of a query until it is short enough, and says whether it cut anything."""
    cut = False
    while len(urlencode(query, doseq=True)) > LINE:
        longest = max(query, key=lambda name: len(urlencode({name: query[name]}, doseq=True)))
        query[longest], before = str(query[longest])[:10], query[longest]
        if query[longest] == before:  # the name is too long
            del query[longest]
        cut = True
    return cut


def _is_unclear(query: dict[str, Any]) -> bool:
    """Says whether a list in the query has an entry that is empty, has outer spaces or has a comma.

    The query of such a list looks like the query of another list.
    """
    lists = [query[name] for name in ("block", "fail_on", "hide") if name in query]
    parts = [str(part) for one in lists for part in (one if isinstance(one, list) else str(one).split(","))]
    return any(not part or part != part.strip() or "," in part for part in parts)
