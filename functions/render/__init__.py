"""One render job: from its URL to a PDF in the bucket.

app ──▶ renderer ──▶ job ──▶ browser ──▶ visit ──▶ page ──▶ pdf ──▶ verdict ──▶ upload
                                └── network: the proxy, by which the browser reaches anything at all
"""
