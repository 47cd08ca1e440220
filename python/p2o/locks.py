"""Locks by which the processes of a machine keep out of each other's files.

Windows has none of them: there, as on a file system without locks, nothing keeps two processes apart.
"""

from __future__ import annotations

import sys
from typing import IO, Any

if sys.platform != "win32":
    import fcntl


def lock(file: int | IO[Any], *, wait: bool = False, of_process: bool = False) -> None:
    """Locks an open file, where there are locks, until it is closed everywhere, also by children that inherited it.

    Args:
        file: the file, or its descriptor.
        wait: wait for another process that holds it.
        of_process: the lock belongs to this process alone, and goes with it, however it ends.

    Raises:
        BlockingIOError: if another process holds it.
    """
    if sys.platform == "win32":
        return
    take = fcntl.lockf if of_process else fcntl.flock
    try:
        take(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # a file system without locks
