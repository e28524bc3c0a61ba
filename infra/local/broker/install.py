"""Installs RabbitMQ if it is missing, and keeps the package from starting a system broker."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.broker.rabbitmq import SERVER, BrokerError

_POLICY = Path("/usr/sbin/policy-rc.d")
_INSTALL_SECONDS = 900.0
_PACKAGE = "rabbitmq-server"


def ensure_installed(say: Callable[[str], None], server: Path = SERVER) -> None:
    """Installs RabbitMQ by apt if it is missing.

    Raises:
        BrokerError: This machine has no apt, or the installation failed; the text says what to install.
    """
    if server.exists() and shutil.which("epmd"):
        return
    if not shutil.which("apt-get"):
        raise BrokerError(
            "RabbitMQ is not installed. Install RabbitMQ 3.10 or newer with Erlang so that "
            f"{server} exists, or set URLSHOT_AMQP_URL to a broker that only urlshot uses."
        )
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    if become_root and not shutil.which("sudo"):
        raise BrokerError(f"RabbitMQ is not installed. As root: apt-get install --no-install-recommends {_PACKAGE}")
    with _no_service_starts(become_root):
        install = ["apt-get", "install", "-y", "--no-install-recommends", _PACKAGE]
        done = _known_to_apt() and _run([*become_root, *install], say)
        if not done:  # the package lists are missing or out of date
            done = _run([*become_root, "apt-get", "update"], say) and _run([*become_root, *install], say)
        if not done:
            raise BrokerError(f"installing RabbitMQ failed; try `{' '.join([*become_root, *install])}` yourself")
    if not server.exists():
        raise BrokerError(f"{_PACKAGE} is installed, but there is no {server}")


def _run(command: list[str], say: Callable[[str], None]) -> bool:
    say("$ " + " ".join(command))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, env=environment, timeout=_INSTALL_SECONDS, check=False).returncode == 0


def _known_to_apt() -> bool:
    known = subprocess.run(["apt-cache", "show", _PACKAGE], capture_output=True, timeout=60, check=False)
    return known.returncode == 0


@contextmanager
def _no_service_starts(become_root: list[str]) -> Iterator[None]:
    """Prevents packages from starting services (Debian's policy-rc.d), and restores the previous policy at the end.

    Without it, the package may start a broker on port 5672 as a system service.
    """
    saved = _POLICY.with_name("policy-rc.d.urlshot-saved")

    def as_root(*command: str) -> None:
        subprocess.run([*become_root, *command], check=True, timeout=60)

    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "policy-rc.d"
        script.write_text("#!/bin/sh\nexit 101\n", "utf-8")
        had_one = _POLICY.exists()
        if had_one and not saved.exists():  # a saved file is the original, left by an interrupted run
            as_root("mv", str(_POLICY), str(saved))
        as_root("install", "-m", "755", str(script), str(_POLICY))
        try:
            yield
        finally:
            if saved.exists():
                as_root("mv", str(saved), str(_POLICY))
            else:
                as_root("rm", "-f", str(_POLICY))
