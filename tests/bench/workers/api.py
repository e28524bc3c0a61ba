"""Times the handler of `api` and the same calls made bare: `python -m tests.bench.workers.api SAMPLES`.

It prints one line of JSON: milliseconds by kind. Without samples it times its own start only.
"""

from __future__ import annotations

import os
import sys
import time

begun = time.monotonic()
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the function logs to stdout

import json  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

from functions.api import app  # noqa: E402
from functions.api.dependencies import bootstrap  # noqa: E402

imported = time.monotonic()

WARM_UPS = 5
EVENT = Path(__file__).parents[2] / "events" / "api.json"


class Urlshot:
    """Calls the handler as API Gateway does."""

    def __init__(self) -> None:
        self._event = json.loads(EVENT.read_text("utf-8"))

    def post(self, url: str, status: int, took: list[float] | None = None) -> dict[str, Any]:
        """Requests a PDF of a page, and adds the milliseconds of the handler to `took`.

        Returns:
            The body of the answer, whose status must be `status`.
        """
        event = self._event | {"resource": "/pdf", "path": "/pdf", "httpMethod": "POST"}
        event |= {"body": json.dumps({"url": url}), "isBase64Encoded": False}
        answer = timed([] if took is None else took, app.handler, event, None)
        if answer["statusCode"] != status:
            raise SystemExit(f"{answer['statusCode']} in place of {status}: {answer['body']}")
        return dict(json.loads(answer["body"]))


class Bare:
    """Makes the same calls with plain clients. It imports them after `api` has, so they cost the start nothing."""

    def __init__(self) -> None:
        import amqp
        import botocore.session
        from botocore.config import Config

        config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required")
        session = botocore.session.get_session()
        self._s3 = session.create_client("s3", config=config)
        self._bucket = os.environ["BUCKET"]
        found = session.create_client("secretsmanager").get_secret_value(SecretId=os.environ["BROKER_SECRET"])
        login = json.loads(found["SecretString"])
        host = urlsplit(os.environ["BROKER_URL"]).netloc.rpartition("@")[2]
        connection = amqp.Connection(host, login["username"], login["password"], confirm_publish=True)
        connection.connect()
        self._channel, self._message = connection.channel(), amqp.Message

    def put_pdf(self, job_id: str) -> None:
        """Stores a PDF, so that a request for it is a hit."""
        self._s3.put_object(
            Bucket=self._bucket, Key=f"pdf/{job_id}.pdf", Body=b"%PDF-1.4", Metadata={"generation": "g"}
        )

    def record(self, job_id: str) -> bytes:
        """Returns the record of a job."""
        return bytes(self._s3.get_object(Bucket=self._bucket, Key=f"job/{job_id}.json")["Body"].read())

    def hit(self, job_id: str) -> None:
        """Makes the calls of a hit."""
        self._s3.head_object(Bucket=self._bucket, Key=f"pdf/{job_id}.pdf")

    def miss(self, job_id: str, record: bytes, message: bytes) -> None:
        """Makes the calls of a miss."""
        try:
            self._s3.head_object(Bucket=self._bucket, Key=f"pdf/{job_id}.pdf")
        except self._s3.exceptions.ClientError:
            pass
        else:
            raise SystemExit(f"there is a PDF of {job_id}")
        at: dict[str, Any] = {
            "Bucket": self._bucket,
            "Key": f"job/{job_id}.json",
            "Body": record,
            "ContentType": "application/json",
        }
        etag = self._s3.put_object(**at, IfNoneMatch="*")["ETag"]
        sent = self._message(message, delivery_mode=2, content_type="application/json", message_id=job_id)
        self._channel.basic_publish(sent, "shot_direct", "shot_direct.start", mandatory=True)
        self._s3.put_object(**at, IfMatch=etag)


def timed(found: list[float], work: Any, *arguments: Any) -> Any:
    """Adds the milliseconds of a call to `found`; returns what the call returns."""
    began = time.perf_counter()
    result = work(*arguments)
    found.append(round((time.perf_counter() - began) * 1000, 3))
    return result


def main(samples: int) -> dict[str, Any]:
    """Returns the milliseconds of the start, of hits and of misses."""
    started = time.monotonic()
    bootstrap()
    ours = Urlshot()
    began = time.monotonic()
    first = ours.post("https://example.com/first", 202)
    start = {
        "import": (imported - begun) * 1000,
        "bootstrap": (began - started) * 1000,
        "first request": (time.monotonic() - began) * 1000,
    }
    if not samples:
        return {"start": start}
    bare = Bare()
    bare.put_pdf(first["id"])
    record = bare.record(first["id"])
    message = json.dumps({key: json.loads(record).get(key) for key in ("id", "generation", "url", "requested_at")})
    hit: dict[str, list[float]] = {"floor": [], "api": []}
    miss: dict[str, list[float]] = {"floor": [], "api": []}
    for number in range(samples + WARM_UPS):
        if number == WARM_UPS:
            for found in (*hit.values(), *miss.values()):
                found.clear()
        timed(hit["floor"], bare.hit, first["id"])
        ours.post("https://example.com/first", 200, hit["api"])
        timed(miss["floor"], bare.miss, f"bare-{number}", record, message.encode())
        ours.post(f"https://example.com/{number}", 202, miss["api"])
    return {"start": start, "hit": hit, "miss": miss}


figures = main(int(sys.argv[1]))
out.write(json.dumps(figures) + "\n")
out.flush()
os._exit(0)  # open connections of the two publishers would be waited for
