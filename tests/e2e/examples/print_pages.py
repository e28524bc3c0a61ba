"""Prints each URL of the command line to its own file."""

import os
import sys

import requests

API = os.environ.get("API", "http://127.0.0.1:8080")
session = requests.Session()
session.headers["x-api-key"] = os.environ.get("KEY", "")


def checked(answer):
    """Returns the body of an answer. Raises a problem with its reason and its remedy."""
    body = answer.json()
    if not answer.ok:
        raise RuntimeError(f"{body['title']}: {body['detail']} {body['remedy']}")
    return body


def pdf_of(url, **options):
    """Returns the PDF of a page."""
    job = checked(session.post(f"{API}/pdf", json={"url": url, "options": options}))
    while job["state"] not in ("done", "failed"):
        job = checked(session.get(job["links"]["self"], params={"wait": 20}))
    if job["state"] == "failed":
        raise RuntimeError(f"{job['error']['title']}: {job['error']['detail']} {job['error']['remedy']}")
    return requests.get(job["links"]["pdf"], timeout=60).content  # without the key: the link is signed


for number, url in enumerate(sys.argv[1:], 1):
    with open(f"{number}.pdf", "wb") as file:
        file.write(pdf_of(url, format="A5", page_numbers=True))
