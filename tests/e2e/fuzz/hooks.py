"""What schemathesis may ask the endpoint for: pages that are refused, and one page of ours that is printed in no time.

With a URL that nobody may print, all of a request is read and checked before the URL is refused, and nothing is
rendered. So half of the requests have such a one, and all have that would take long, or could be read in two ways.
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
"""Ids of jobs that are there."""

REFUSED = [
    "http://10.0.0.1/",
    "https://[::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://127.0.0.1:1/",
    "https://user:password@example.com/",
    "ftp://example.com/",
]
SLOW = {"delay", "wait_for", "wait_expression", "wait_until", "consent", "device_scale"}
"""Options with which a page may take long."""

URLS = [*REFUSED, *[PAGE] * len(REFUSED)]

schemathesis.openapi.format("uri", st.sampled_from(URLS))


LINE = 6000
"""Characters of a query that every server takes; what API Gateway says to more than it takes is no part of ours."""


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Whatever was generated: no job leaves this machine, none waits for something, and every other id is of a job.

    What is chosen follows from what was generated, as the run is to be repeatable.
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
    """Cuts the longest of a query until it is short enough; whether anything was cut."""
    cut = False
    while len(urlencode(query, doseq=True)) > LINE:
        longest = max(query, key=lambda name: len(urlencode({name: query[name]}, doseq=True)))
        query[longest], before = str(query[longest])[:10], query[longest]
        if query[longest] == before:  # it is the name that is so long
            del query[longest]
        cut = True
    return cut


def _is_unclear(query: dict[str, Any]) -> bool:
    """Whether a list has a name that is empty, or has spaces around it: in a query it looks like one that has not."""
    lists = [query[name] for name in ("block", "fail_on", "hide") if name in query]
    parts = [str(part) for one in lists for part in (one if isinstance(one, list) else str(one).split(","))]
    return any(not part or part != part.strip() or "," in part for part in parts)
