"""What the parent and its service processes agree on."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HOST = "127.0.0.1"


@dataclass(frozen=True)
class ServiceArgs:
    """What a service is told: the port to listen on at 127.0.0.1, the folder of its data, the project it serves."""

    port: int
    data_dir: Path
    project: str

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


class ServiceModule(Protocol):
    """A module of this package that is a service: ``serving`` listens while its context is open."""

    def serving(self, args: ServiceArgs) -> AbstractAsyncContextManager[None]: ...
