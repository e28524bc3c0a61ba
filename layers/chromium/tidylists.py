"""What tidying a page needs, as `build.py` puts it into the layer's folder `tidy`: domains to block, and how to say no
to cookies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("@duckduckgo/autoconsent", "third-party-web")
"""Whose hashes in package-lock.json say what is made here."""

RECIPE = "1"
"""Raise it when what is made of them changes."""

BLOCKED = {"ads": ["ad"], "trackers": ["analytics", "tag-manager"]}
"""What `block` calls ads and trackers, in the categories of third-party-web.

Why that package: its data is MIT, as the layer is, and Lighthouse runs on it, so it is kept up; 1,064 and 610 domains.
Ghostery's tracker database is not for commercial use (npm's licence field says CC-BY-NC-SA). EasyList and Disconnect
were left aside as copyleft by repute; their licences were not looked up. The package's domains are of third parties
only: a site's own ads are not blocked.
"""


def collect(fetched: Callable[[str], Path], target: Path) -> None:
    """Writes hosts.json, with domains as the package has them (`*.` for one with all below it), and autoconsent as it
    is: its content script, its rules; and both licences."""
    folder, licences = target / "tidy", target / "licences"
    folder.mkdir()
    licences.mkdir()
    entities = json.loads(fetched("third-party-web/dist/entities-nostats.json").read_text())
    hosts = {
        name: sorted({domain for entity in entities if entity["category"] in named for domain in entity["domains"]})
        for name, named in BLOCKED.items()
    }
    (folder / "hosts.json").write_text(json.dumps(hosts, indent=0) + "\n")
    shutil.copy(fetched("@duckduckgo/autoconsent/dist/autoconsent.playwright.js"), folder / "autoconsent.js")
    shutil.copy(fetched("@duckduckgo/autoconsent/rules/compact-rules.json"), folder / "autoconsent-rules.json")
    shutil.copy(fetched("@duckduckgo/autoconsent/LICENSE"), licences / "autoconsent.txt")
    shutil.copy(fetched("third-party-web/LICENSE"), licences / "third-party-web.txt")
