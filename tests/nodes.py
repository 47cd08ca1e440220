"""Nodes on one machine: network namespaces with an address, a host name and a `/etc/hosts` each, on one bridge.

Nothing of the machine's own network is touched, and no rights are needed where users may make namespaces.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

TOOLS = ("unshare", "nsenter", "ip")

ENTER = ("--user", "--net", "--mount", "--uts", "--preserve-credentials")


def why_not() -> str | None:
    """Why there can be no nodes here; None if there can."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{missing[0]} is not installed"
    try:
        with nodes(1):
            return None
    except (OSError, subprocess.SubprocessError) as error:
        return f"namespaces are not allowed ({error})"


class Node:
    """A node; `enter` before a command runs it there."""

    def __init__(self, name: str, address: str, holder: int) -> None:
        self.name = name
        self.address = address
        self.holder = holder
        self.enter = ["nsenter", f"--target={holder}", *ENTER]

    def kill(self) -> None:
        """Kills all that runs on the node: its connections are closed."""
        own = os.readlink(f"/proc/{self.holder}/ns/net")
        for process in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with suppress(OSError):
                if process != self.holder and os.readlink(f"/proc/{process}/ns/net") == own:
                    os.kill(process, signal.SIGKILL)

    def cut_off(self) -> None:
        """Takes its network away: its connections stay open, and nothing comes through them."""
        subprocess.run([*self.enter, "ip", "link", "set", "eth0", "down"], check=True)


@contextmanager
def nodes(count: int) -> Iterator[list[Node]]:
    """`count` nodes, node1 at 10.77.0.1 and so on; they end with the block, what runs on them must have ended."""
    with ExitStack() as stack:

        def hold(*command: str) -> int:
            """The process that a namespace lives by: it has said that it is ready."""
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            stack.callback(process.kill)
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise OSError("unshare failed")
            return process.pid

        def switch(*command: str) -> None:
            subprocess.run([*hub, *command], check=True, capture_output=True)

        ready = "echo ready; read -r _"
        holder = hold("unshare", "--user", "--map-root-user", "--net", "--mount", "--uts", "sh", "-c", ready)
        hub = ["nsenter", f"--target={holder}", *ENTER]
        switch("ip", "link", "add", "bridge", "type", "bridge")
        switch("ip", "link", "set", "bridge", "up")
        made = []
        entries = "\\n".join(f"10.77.0.{number} node{number}" for number in range(1, count + 1))
        for number in range(1, count + 1):
            name, address = f"node{number}", f"10.77.0.{number}"
            names = f"printf '127.0.0.1 localhost\\n{entries}\\n' > /tmp/hosts && mount --bind /tmp/hosts /etc/hosts"
            set_up = (
                f"mount -t tmpfs none /mnt && hostname {name} && cd /mnt && {names.replace('/tmp/', '/mnt/')}"
            )
            inner = hold(*hub, "unshare", "--net", "--mount", "--uts", "sh", "-c", f"{set_up} && {ready}")
            node = Node(name, address, inner)
            switch(*("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(inner)))
            switch("ip", "link", "set", name, "master", "bridge", "up")
            for command in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
                subprocess.run([*node.enter, "ip", *command.split()], check=True, capture_output=True)
            made.append(node)
        yield made
