"""Replaces time, randomness, threads and logs in the product's modules with simulated ones."""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import BotoCoreError, ClientError

from functions.api import job_calls as api_jobs
from functions.callback import app as callback_app
from functions.callback import work
from functions.dispatch import app as dispatch_app
from functions.dispatch import bare, handover, invoke, pool
from functions.mail import app as mail_app
from functions.settle import settle as settle_module
from tests.simulation.kernel import Kernel, Killed
from tests.simulation.threads import Lock, Threads
from urlshot.adapters import claims, slots, store, subscription_store
from urlshot.core import records, subscriptions
from urlshot.core.errors import Broken, UrlshotError
from urlshot.lifecycle import accept, announce


class Active:
    """The history that runs in this process. The patched modules read its kernel here."""

    kernel: Kernel
    unexpected: Callable[[str, BaseException | None], None]
    """Is called with the name of a process and its error that no fault explains."""
    tokens = 0


def _kernel() -> Kernel:
    return Active.kernel


def _token(prefix: str) -> Callable[..., str]:
    def make(*_: int) -> str:
        Active.tokens += 1
        return f"{prefix}{Active.tokens}"

    return make


def _nonce(_: int) -> str:
    Active.tokens += 1
    return f"{Active.tokens:016x}"


def nothing(*_: object, **__: object) -> None:
    return None


class _Silent:
    """A log that writes nothing."""

    debug = info = warning = error = exception = staticmethod(nothing)
    thread_safe_append_keys = thread_safe_clear_keys = staticmethod(nothing)


def judge(name: str, error: BaseException | None) -> None:
    """Reports an error of a consumer that no fault explains."""
    explained = Killed, UrlshotError, claims.Busy, ClientError, BotoCoreError
    if isinstance(error, Broken) or not (error is None or isinstance(error, explained)):
        Active.unexpected(name, error)


class _Judging(_Silent):
    """The log of a consumer, which catches all errors."""

    def exception(self, *_: object, **__: object) -> None:
        judge(_kernel().running(), sys.exc_info()[1])


def _finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Takes the place of asyncio.run: a simulated call waits by switching threads, and never suspends a coroutine."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the coroutine waits for a real event")


@contextmanager
def _consumers() -> Iterator[None]:
    """Patches the modules of `mail` and `callback`."""
    with ExitStack() as stack:
        for module in (claims, subscriptions):
            stack.enter_context(patch.object(module, "secrets", SimpleNamespace(token_hex=_nonce)))
        for module in (work, mail_app):
            stack.enter_context(patch.object(module, "log", _Judging()))
        stack.enter_context(patch.object(work, "asyncio", SimpleNamespace(run=_finish)))
        stack.enter_context(patch.object(work, "random", SimpleNamespace(uniform=lambda low, high: high)))
        now = SimpleNamespace(time=lambda: _kernel().clock().timestamp())
        stack.enter_context(patch.object(work, "time", now))
        stack.enter_context(patch.object(mail_app, "bootstrap", lambda: _kernel().current().process.state["mailer"]))
        worker = lambda: (_kernel().current().process.state["worker"], Threads(_kernel))  # noqa: E731
        stack.enter_context(patch.object(callback_app, "bootstrap", worker))
        yield


@contextmanager
def collecting() -> Iterator[None]:
    """Leaves the garbage of histories, and never looks at the objects of the modules; `gc.collect` collects it."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        gc.collect()


@contextmanager
def _caches() -> Iterator[None]:
    """Caches what parses. A cache is safe because equal texts give equal, frozen values."""
    with ExitStack() as stack:
        for owner, name, what in (
            (store, "Record", SimpleNamespace(model_validate_json=_cached(records.Record.model_validate_json))),
            (work, "_MESSAGE", SimpleNamespace(validate_json=_cached(work._MESSAGE.validate_json))),
            (dispatch_app, "parse_message", _cached(dispatch_app.parse_message)),
            (bare, "target", _cached(bare.target)),
            (subscription_store.Subscription, "parse", _cached(subscriptions.Subscription.parse)),
        ):
            stack.enter_context(patch.object(owner, name, what))
        yield


def _cached(parse: Callable[..., Any]) -> Callable[..., Any]:
    return lru_cache(512)(parse)


@contextmanager
def installed() -> Iterator[None]:
    """Patches the product's modules while the context is open."""
    time = SimpleNamespace(sleep=lambda seconds: _kernel().sleep(seconds), monotonic=lambda: _kernel().now)
    chance = SimpleNamespace(uniform=lambda low, high: high, Random=random.Random)
    with ExitStack() as stack:
        for module in (accept, pool, handover, dispatch_app):
            stack.enter_context(patch.object(module, "time", time))
        for module in (accept, pool):
            stack.enter_context(patch.object(module, "random", chance))
        for module in (accept, announce, handover, invoke, bare, dispatch_app, settle_module, api_jobs):
            stack.enter_context(patch.object(module, "log", _Silent()))
        stack.enter_context(_consumers())
        stack.enter_context(patch.object(pool, "threading", SimpleNamespace(Lock=lambda: Lock(_kernel))))
        stack.enter_context(patch.object(dispatch_app, "ThreadPoolExecutor", lambda max_workers: Threads(_kernel)))
        stack.enter_context(
            patch.object(pool, "FIRST_PAUSE", 1.0)
        )  # fewer checks of the slots make a history faster to run
        stack.enter_context(patch.object(pool, "LONGEST_PAUSE", 8.0))
        stack.enter_context(patch.object(records, "new_generation", _token("g")))
        stack.enter_context(patch.object(accept.records, "new_claim", _token("c")))
        stack.enter_context(patch.object(slots, "secrets", SimpleNamespace(token_hex=_token("holder"))))
        stack.enter_context(patch("urlshot.core.events.new_generation", _token("e")))
        stack.enter_context(_caches())
        yield
