"""Corrects moto's S3 where it differs from S3 and urlshot depends on it.

- CopyObject: moto ignores `x-amz-copy-source-if-match`, `If-Match` and `If-None-Match`. It would copy a source that has
  been replaced, or overwrite a target that has been replaced.
- POST Object: moto's answer has no ETag; S3's answer has one.

infra/local/aws/server.py serves one request at a time, so checks before and after a request see a consistent state.

Source: CopyObject and "POST Object" in the S3 API reference.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

Answer = tuple[int, list[tuple[str, str]], bytes]
Serve = Callable[[dict[str, Any]], Answer]

# moto requires a signature but does not check it. The signature of a form is in its fields, so HEAD needs this one.
_SIGNED = "AWS4-HMAC-SHA256 Credential=local/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_CONDITION = re.compile("COPY_SOURCE|IF_MATCH|IF_NONE_MATCH|CONTENT_TYPE")
_KEY = re.compile(rb'name="key"\r\n\r\n([^\r]*)\r\n')


def serve_as_s3(environ: dict[str, Any], body: bytes, serve: Serve) -> Answer:
    """Answers a request as S3 does.

    Args:
        environ: The WSGI environment of the request.
        body: The body of the request.
        serve: moto's application.
    """
    if "HTTP_X_AMZ_COPY_SOURCE" in environ and not _copy_allowed(environ, serve):
        text = b"<Error><Code>PreconditionFailed</Code><Message>A condition does not hold</Message></Error>"
        return 412, [("Content-Type", "application/xml")], text
    status, headers, text = serve(environ)
    if environ.get("CONTENT_TYPE", "").startswith("multipart/form-data") and status in (200, 201, 204):
        key = _KEY.search(body)
        etag = key and _etag(environ, f"{environ['RAW_URI'].strip('/')}/{key[1].decode()}", serve)
        if etag:
            headers = [*headers, ("ETag", f'"{etag}"')]
    return status, headers, text


def _copy_allowed(environ: dict[str, Any], serve: Serve) -> bool:
    """Says whether the conditions of a copy hold. A missing source is left to moto, which answers 404."""
    wanted = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH")
    if wanted is not None and _etag(environ, environ["HTTP_X_AMZ_COPY_SOURCE"], serve) not in (None, wanted.strip('"')):
        return False
    over, new = environ.get("HTTP_IF_MATCH"), environ.get("HTTP_IF_NONE_MATCH")
    if over is None and new is None:
        return True
    there = _etag(environ, environ["RAW_URI"].partition("?")[0], serve)
    return there is None if over is None else there == over.strip('"')


def _etag(environ: dict[str, Any], source: str, serve: Serve) -> str | None:
    """Returns the ETag of the object `<bucket>/<key>`, without its quotes; None if there is none."""
    path = "/" + source.lstrip("/")
    plain = {name: value for name, value in environ.items() if not _CONDITION.search(name)}
    head = {"REQUEST_METHOD": "HEAD", "PATH_INFO": unquote(path), "RAW_URI": path, "REQUEST_URI": path}
    head |= {"QUERY_STRING": "", "CONTENT_LENGTH": "0", "HTTP_AUTHORIZATION": _SIGNED}
    status, headers, _ = serve({**plain, **head})
    found = dict(headers).get("ETag")
    return found.strip('"') if status == 200 and found else None
