"""Copies the project with simulated renders for most URLs, and with shorter waits, so that a run sees many leases end.

Only figures are changed: the parts of a lease, the timeouts that they cover, and the time after which an unfinished
callback comes again. Their relations stay as in the product.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.functions.layers import STAMP, digest
from infra.local.settings import PROJECT

PLAYED = Path(__file__).with_name("played")
SIMULATED = PROJECT / "tests" / "bench" / "played" / "render.py"

EVENT_AGE, RENDER_TIMEOUT, SETTLE = 15, 30, 15
LEASE = EVENT_AGE + RENDER_TIMEOUT + SETTLE
"""Seconds of a lease in the copy; 195 in the product."""
SETTLE_TIMEOUT = 12
CALLBACK_TIMEOUT, VISIBILITY = 20, 40

_CHANGES = (
    ("layers/shared/urlshot/core/lease.py", r"(?m)^EVENT_AGE_SECONDS = 60$", f"EVENT_AGE_SECONDS = {EVENT_AGE}", 1),
    ("layers/shared/urlshot/core/lease.py", r"(?m)^SETTLE_SECONDS = 45$", f"SETTLE_SECONDS = {SETTLE}", 1),
    ("template.yaml", r'(R(?:ENDER_TIMEOUT|enderTimeout)): "90"', rf'\1: "{RENDER_TIMEOUT}"', 4),
    ("template.yaml", r"Timeout: 90 # a job's", f"Timeout: {RENDER_TIMEOUT} # a job's", 1),
    ("template.yaml", r"MaximumEventAgeInSeconds: 60 # part", f"MaximumEventAgeInSeconds: {EVENT_AGE} # part", 1),
    # Lambda's own minimum is 60.
    ("infra/local/template/event_invoke.py", r"range\(60, 6 \* 3600 \+ 1\)", "range(1, 6 * 3600 + 1)", 1),
    (
        "template.yaml",
        r"(Handler: functions\.settle\.app\.handler\n(?:.*\n){0,3}?      Timeout:) 30",
        rf"\1 {SETTLE_TIMEOUT}",
        1,
    ),
    ("template.yaml", r"Handler: functions\.render\.app\.handler", "Handler: functions.render.either.handler", 1),
    ("infra/consumers.yaml", r"VisibilityTimeout: 360", f"VisibilityTimeout: {VISIBILITY}", 1),
    ("infra/consumers.yaml", r"Timeout: 60 # the callbacks", f"Timeout: {CALLBACK_TIMEOUT} # the callbacks", 1),
)
"""The file, a pattern, what replaces it, and how often it is found."""


@contextmanager
def faults_project() -> Iterator[Path]:
    """Makes the copy and removes it at the end. `python -m infra.local` in its folder starts it."""
    with tempfile.TemporaryDirectory(dir=PROJECT / ".urlshot", prefix="faults-") as folder:
        copy = Path(folder)
        copy.chmod(0o755)  # the broker may run as another user
        for name in ("functions", "infra", "layers"):
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        shutil.copy(PROJECT / "template.yaml", copy)
        shutil.copy(SIMULATED, copy / "functions" / "render" / "simulated.py")
        shutil.copy(PLAYED / "either.py", copy / "functions" / "render")
        for name, pattern, replacement, count in _CHANGES:
            file = copy / name
            text, found = re.subn(pattern, replacement, file.read_text("utf-8"))
            if found != count:
                raise SystemExit(f"{name} has {found} x {pattern}, not {count}")
            file.write_text(text, "utf-8")
        _link_layers(copy)
        yield copy


def _link_layers(copy: Path) -> None:
    """Links the built layers of this project, except the module urlshot of the shared layer, which is the copy's."""
    built, layers = PROJECT / ".urlshot" / "layers", copy / ".urlshot" / "layers"
    packages = layers / "SharedLayer" / "python"
    packages.mkdir(parents=True)
    for entry in (built / "SharedLayer" / "python").iterdir():
        if entry.name not in ("urlshot", "__pycache__"):
            (packages / entry.name).symlink_to(entry)
    shutil.copytree(copy / "layers" / "shared" / "urlshot", packages / "urlshot")
    (layers / "ChromiumLayer").symlink_to(built / "ChromiumLayer")
    (layers / STAMP).write_text(digest(copy / "layers"), "utf-8")
