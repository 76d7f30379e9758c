"""Tell whether other processes serve the same requests as this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
# Linux's tables of sockets. In both columns of states, the value means that the socket listens.
# https://docs.kernel.org/networking/proc_net_tcp.html, https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
_TABLES = (("tcp", 3, "0A", 9), ("tcp6", 3, "0A", 9), ("unix", 3, "00010000", 6))


def is_one_of_several(*, was_forked: bool) -> bool:
    """Whether other processes serve the same requests, as far as this process can tell.

    A server's workers are children of one process and have its listening socket. So one worker is
    told from several, even with `gunicorn --preload`.

    Args:
        was_forked: Whether the process was forked since there was something to share. It decides
            where no listening socket is found: in a job of RQ, or without Linux.
    """
    # This module exists only inside of uWSGI, whose first worker can be the parent of the others.
    if getattr(sys.modules.get("uwsgi"), "numproc", 1) > 1:
        return True
    own = _sockets("self")
    shared = own & {socket for pid in _siblings() for socket in _sockets(pid)}
    if not shared and not was_forked:  # the usual case does not need the long tables
        return False
    listening = own.intersection(_listening())
    return bool(listening & shared) if listening else was_forked


def _sockets(pid: str) -> set[str]:
    """Return the inodes of a process's sockets."""
    found: set[str] = set()
    with suppress(OSError):  # no Linux, no permission, or the process has ended
        for each in (_PROC / pid / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                kind, _, inode = str(each.readlink()).partition(":")
                if kind == "socket":
                    found.add(inode.strip("[]"))
    return found


def _listening() -> Iterator[str]:
    """Yield the inodes of all sockets that listen."""
    for name, state_column, listens, inode_column in _TABLES:
        with suppress(OSError):
            for line in (_PROC / "self/net" / name).read_text("utf-8").splitlines():
                values = line.split()
                if values[state_column] == listens:
                    yield values[inode_column]


def _siblings() -> Iterator[str]:
    """Yield the ids of the other children of this process's parent."""
    for each in (_PROC / str(os.getppid()) / "task").glob("*/children"):
        with suppress(OSError):
            yield from set(each.read_text("ascii").split()) - {str(os.getpid())}
