"""A known mistake, as a change of the product's source.

A mutant replaces a piece of the source of one function. It fails if that piece is no longer there, because it would
test nothing.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from urlshot.adapters import slots, store, subscription_store


@dataclass(frozen=True)
class Mutant:
    """A change of one function: `old` becomes `new` in the source of `owner`'s `function`. `name` is the mistake."""

    name: str
    owner: Any
    function: str
    old: str
    new: str
    also: Mutant | None = None
    """A second change that is part of the mistake."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        before = getattr(self.owner, self.function)
        source = textwrap.dedent(inspect.getsource(before))
        if source.count(self.old) != 1:
            raise AssertionError(f"{self.name}: the source of {self.function} does not have {self.old!r} exactly once")
        names: dict[str, Any] = {}
        code = "from __future__ import annotations\n" + source.replace(self.old, self.new)
        exec(compile(code, f"<{self.name}>", "exec"), before.__globals__, names)  # noqa: S102
        # Modules that import a function by name hold their own reference to it.
        owners = [
            one for one in (self.owner, store, slots, subscription_store) if getattr(one, self.function, None) is before
        ]
        with ExitStack() as stack:
            for owner in owners:
                stack.enter_context(patch.object(owner, self.function, names[self.function]))
            if self.also is not None:
                stack.enter_context(self.also.applied())
            yield
