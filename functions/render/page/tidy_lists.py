"""Reads block lists and consent rules from the Chromium layer, on first use: few jobs need them."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

from functions.render.page.blocking import HostList

_TOP_ONLY = {20, 22, 10, 12}
"""Values by which a compact rule of autoconsent says that it is not for frames (autoconsent, lib/encoding.ts)."""


class TidyLists:
    """The files that `layers/chromium/build.py` puts into the layer's folder `tidy`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def hosts(self) -> dict[str, HostList]:
        """The domains of `ads` and of `trackers`."""
        return {name: HostList(domains) for name, domains in self._json("hosts.json").items()}

    @cached_property
    def consent_script(self) -> str:
        """Autoconsent's content script."""
        return (self._folder / "autoconsent.js").read_text(encoding="utf-8")

    def consent_rules(self, url: str, *, top: bool) -> dict[str, Any]:
        """Returns autoconsent's rules for a document in their compact form: the general ones and those for its URL.

        This is autoconsent's `filterCompactRules`, which keeps the full 260 kB out of every frame.

        Args:
            url: The document's URL.
            top: True for the page itself, False for a frame.
        """
        rules = self._rules
        index = rules["index"]
        if not top:
            first, end = index["frameRuleRange"]
            fitting = [rule for rule in rules["r"][first:end] if rule[4] not in _TOP_ONLY and self._fits(rule, url)]
            return {"v": rules["v"], "s": rules["s"][: index["frameStringEnd"]], "r": fitting}
        general = rules["r"][: index["genericRuleRange"][1]]
        own = [rule for rule in rules["r"][len(general) :] if rule[4] != 1 and self._fits(rule, url)]
        strings = rules["s"] if own else rules["s"][: index["genericStringEnd"]]
        return {"v": rules["v"], "s": strings, "r": [*general, *own]}

    @cached_property
    def _rules(self) -> dict[str, Any]:
        return self._json("autoconsent-rules.json")

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str] | None]:
        return {}

    def _fits(self, rule: list[Any], url: str) -> bool:
        pattern = rule[3]
        if not pattern:
            return True
        if pattern not in self._patterns:
            try:
                self._patterns[pattern] = re.compile(pattern)
            except re.error:  # valid in JavaScript only; autoconsent checks the pattern itself
                self._patterns[pattern] = None
        compiled = self._patterns[pattern]
        return compiled is None or compiled.search(url) is not None

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / name).read_text(encoding="utf-8"))
        return found
