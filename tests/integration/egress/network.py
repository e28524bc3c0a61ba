"""Isolates this process in its own network, in which private and public addresses are on one loopback interface.

The module uses ioctls, because a minimal machine has no iproute2. Sources: netdevice(7), ipv6(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import tempfile
from pathlib import Path

from .attempts import ADDRESSES

_CLONE_NEWNS, _CLONE_NEWNET = 0x00020000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP_RUNNING = 0x41
_TUNSETIFF, _IFF_TUN = 0x400454CA, 0x1001


def unavailable() -> str:
    """Returns why this machine cannot isolate a process, or an empty string if it can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "a network namespace needs root"
    if not os.path.exists("/dev/net/tun"):
        return "WebRTC needs an interface, and there is no /dev/net/tun"
    return ""


def isolate() -> None:
    """Moves this process, which must have one thread, into new network and mount namespaces.

    Raises:
        OSError: The kernel refuses; it requires CAP_SYS_ADMIN.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare: a network namespace needs root")
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "mount: propagation cannot be switched off")


def furnish(folder: Path) -> int:
    """Gives an isolated process the addresses of the attempts, the DNS server of `Listeners`, and `folder` for files.

    Returns:
        The file descriptor that keeps the interface beside `lo` up.
    """
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    replace("/etc/resolv.conf", "nameserver 127.0.0.53\noptions timeout:1 attempts:2\n", folder)
    replace("/etc/hosts", "127.0.0.1 localhost\n", folder)
    loopback(ADDRESSES)
    return interface("100.127.0.2")


def replace(path: str, content: str, folder: Path) -> None:
    """Replaces the content of `path` for this process and its children only, by a bind mount of a file in `folder`."""
    replacement = folder / path.strip("/").replace("/", "-")
    replacement.write_text(content)
    target = os.path.realpath(path)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(str(replacement).encode(), target.encode(), None, _MS_BIND, None) != 0:
        raise OSError(ctypes.get_errno(), f"mount over {target}")


def interface(address: str) -> int:
    """Adds an interface with this address beside `lo`, because WebRTC does not use loopback.

    Nothing is connected to its other end.

    Returns:
        The file descriptor that keeps the interface up.
    """
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"wire0", _IFF_TUN))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.252")):
            packed = struct.pack("16sHH4s8x", b"wire0", socket.AF_INET, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, packed)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"wire0", _IFF_UP_RUNNING))
    return device


def loopback(addresses: list[str]) -> None:
    """Brings `lo` up, and adds these addresses to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING))
        for number, address in enumerate(found for found in addresses if ":" not in found):
            label = f"lo:{number}".encode()
            for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.255")):
                packed = struct.pack("16sHH4s8x", label, socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, packed)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        for address in (found for found in addresses if ":" in found):
            packed = socket.inet_pton(socket.AF_INET6, address) + struct.pack("Ii", 128, socket.if_nametoindex("lo"))
            fcntl.ioctl(control, _SIOCSIFADDR, packed)
