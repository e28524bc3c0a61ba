"""Copies the project with a simulated `render`, and with a `dispatch` and `settle` that count their calls to AWS."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.settings import PROJECT

PLAYED = Path(__file__).with_name("played")
COUNTED = ("dispatch", "settle")
_NO_CACHE = shutil.ignore_patterns("__pycache__")


@contextmanager
def simulated_project() -> Iterator[Path]:
    """Makes the copy, with links to this project's layers, and removes it at the end.

    `python -m infra.local` in the folder of the copy starts it.
    """
    with tempfile.TemporaryDirectory(dir=PROJECT / ".urlshot", prefix="simulated-") as folder:
        copy = Path(folder)
        copy.chmod(0o755)  # the broker may run as another user
        for name in ("functions", "infra", "layers"):
            shutil.copytree(PROJECT / name, copy / name, ignore=_NO_CACHE)
        (copy / ".urlshot").mkdir()
        (copy / ".urlshot" / "layers").symlink_to(PROJECT / ".urlshot" / "layers")
        render = copy / "functions" / "render"
        upload = (render / "upload.py").read_text("utf-8")
        shutil.rmtree(render)
        render.mkdir()
        shutil.copy(PLAYED / "__init__.py", render)
        shutil.copy(PLAYED / "render.py", render / "app.py")
        (render / "upload.py").write_text(upload, "utf-8")
        template = (PROJECT / "template.yaml").read_text("utf-8")
        for name in COUNTED:
            shutil.copy(PLAYED / "counted.py", copy / "functions" / name)
            handler = f"Handler: functions.{name}.app.handler"
            if handler not in template:
                raise SystemExit(f"template.yaml has no {handler}")
            template = template.replace(handler, f"Handler: functions.{name}.counted.handler")
        (copy / "template.yaml").write_text(template, "utf-8")
        yield copy
