"""Collects the data for the tidy options in the layer's folder `tidy`: domains to block, rules for cookie banners."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

PACKAGES = ("@duckduckgo/autoconsent", "third-party-web")
"""The packages that the result is made from; their hashes are part of the cache key."""

RECIPE = "1"
"""Part of the cache key. Raise it when `collect` changes its result."""

BLOCKED = {"ads": ["ad"], "trackers": ["analytics", "tag-manager"]}
"""The categories of third-party-web for the values `ads` and `trackers` of the option `block`.

The package's data is MIT, like the layer, and maintained for Lighthouse. It has 1,064 domains of ads and 610 of
trackers. Ghostery's tracker database excludes commercial use (npm's licence field says CC-BY-NC-SA). EasyList and
Disconnect were not considered, because they are said to be copyleft; their licences were not checked. The package
contains domains of third parties only, so a site's own ads are not blocked.
"""


def collect(fetched: Callable[[str], Path], target: Path) -> None:
    """Writes the domains to hosts.json, and copies autoconsent's content script and rules and both licences.

    Domains have the package's form: `*.` stands for a domain with all its subdomains.

    Args:
        fetched: Returns a file under node_modules.
        target: The folder to write to.
    """
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
