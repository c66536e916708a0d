"""Which policy each section is enforced under: those that come with this, and those of a file."""

from __future__ import annotations

import importlib
from importlib import resources

from pipeline.enforcement import policies
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.sections import Network
from pipeline.enforcement.survey import SectionError


def shipped() -> dict[str, Policy]:
    """The policies that come with this, by name."""
    text = resources.files("pipeline.enforcement").joinpath("policies.yaml").read_text(encoding="utf-8")
    return policies.parse_policies(text)


def known(path: str | None) -> dict[str, Policy]:
    """Those that come with this, and those of a file, which go before them. Raises SectionError."""
    return shipped() | ({} if path is None else _of_file(path))


def of_network(network: Network, default: str | None, path: str | None) -> dict[str, Policy]:
    """The policy of each section. `path`: a file of further policies."""
    return policies.of_sections(known(path), network.sections.values(), default or policies.DEFAULT)


def _of_file(path: str) -> dict[str, Policy]:
    # Beam, which opens gs:// too, takes two seconds: only for who names a file.
    file_systems = importlib.import_module("apache_beam.io.filesystems").FileSystems
    try:
        with file_systems.open(path) as file:
            text: str = file.read().decode("utf-8")
    except (OSError, ValueError) as error:
        raise SectionError(
            f"--policies: {path} cannot be read: {error}. Name an existing YAML file in UTF-8"
        ) from error
    try:
        return policies.parse_policies(text)
    except SectionError as error:
        raise SectionError(f"--policies {path}: {error}") from error
