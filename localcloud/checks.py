"""What is checked before any service starts; each mistake is told in one line."""

import errno
import socket
import tempfile
from pathlib import Path

from localcloud.serving import HOST


class LocalCloudError(Exception):
    """A mistake of the user, or a service that does not start; its text is one line: what, found, allowed, to do."""


def require_free(name: str, port: int) -> None:
    """Raise LocalCloudError unless a server can listen on this port of 127.0.0.1; 0 means any port and passes."""
    if not 0 <= port <= 65535:
        raise LocalCloudError(f"port_{name}: {port} is no port; allowed: 1 to 65535, or 0 for any free one")
    try:
        _bound(port).close()
    except OSError as error:
        if error.errno == errno.EACCES:
            raise LocalCloudError(
                f"port_{name}: {port} needs more rights than this user has; choose a port of 1024 or higher"
            ) from None
        raise LocalCloudError(
            f"port_{name}: {port} of {HOST} is in use by another program; stop that program or choose another port"
            " (0 = any free one)"
        ) from None


def free_port(probes: list[socket.socket]) -> int:
    """A port nobody uses; the socket that holds it is added to ``probes`` for the caller to close."""
    probes.append(_bound(0))
    return int(probes[-1].getsockname()[1])


def require_writable(data_dir: Path) -> None:
    """Make the data folder; raise LocalCloudError if it cannot be made or written to."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise LocalCloudError(
            f"data_dir: cannot write to {data_dir} ({reason}); choose a folder you may write to with --data_dir"
        ) from None


def _bound(port: int) -> socket.socket:
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose last connections are still closing is free to listen on; one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
    except OSError:
        probe.close()
        raise
    return probe
