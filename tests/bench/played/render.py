"""A simulated `render`: takes as long as the page's URL says, uploads a small PDF and reports it.

`seconds=` in the query of the URL is the duration. With `limit=1` the job fails after it, with a time-out. With
`fail=<code>` it fails with that error. Each claim has a PDF of its own, so that a test can tell them apart.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from functions.render.upload import upload
from urlshot.core.errors import failure
from urlshot.core.render_contract import RenderAnswer, RenderJob, Report

PDF = b"%PDF-1.4\n" + b"% simulated\n" * 100 + b"%%EOF\n"
UPLOAD_SECONDS = 30.0


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Simulates the render of one job."""
    job = RenderJob.model_validate(event)
    phases = dict(job.phases)
    if job.handed_over_at is not None:
        phases["hand_over"] = (datetime.now(UTC) - job.handed_over_at).total_seconds() * 1000
    asked = parse_qs(urlsplit(job.url).query)
    time.sleep(float(asked["seconds"][0]))
    if "limit" in asked or "fail" in asked:
        code = "timeout" if "limit" in asked else asked["fail"][0]
        error = failure(code, "The page was not ready in time.").public()
        return RenderAnswer(id=job.id, generation=job.generation, error=error).model_dump(mode="json")
    assert job.upload is not None
    pdf = PDF + f"% {job.claim}\n".encode()
    etag = upload(job.upload, pdf, UPLOAD_SECONDS)
    report = Report(
        final_url=job.url,
        status=200,
        title="",
        pages=1,
        bytes=len(pdf),
        sha256=hashlib.sha256(pdf).hexdigest(),
        phases=phases,
        network={},
        chromium="simulated",
        cold=False,
    )
    return RenderAnswer(id=job.id, generation=job.generation, report=report, etag=etag).model_dump(mode="json")
