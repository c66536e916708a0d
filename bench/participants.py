"""Who takes part: this pipeline, and what a user would pick instead, each in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import oracle
from bench.oracle import Passage
from bench.peers import job

SECTION = Path("bench/section.yaml")
PEERS = Path(__file__).parent / "peers"
OWN = Path(sys.executable)
OURS, JSON_LOOP, MSGSPEC_LOOP = "this pipeline", "Python loop, json", "Python loop, msgspec"
# Name, module in bench/peers, requirements: without any, what this project has is enough.
LOOPS = ((JSON_LOOP, "json_loop", None), (MSGSPEC_LOOP, "msgspec_loop", None))
OTHERS = (
    ("DuckDB", "duckdb_sql", "requirements.txt"),
    ("Polars", "polars_lazy", "requirements.txt"),
    ("bytewax", "bytewax_state", "requirements.txt"),
    ("Flink SQL", "flink_sql", "requirements-flink.txt"),
)


class Participant(NamedTuple):
    """One of the table. absent: why it does not run. module: of a peer; this pipeline has none."""

    name: str
    module: str | None = None
    python: Path = OWN
    absent: str | None = None

    def command(self, source: Path, target: Path) -> list[str]:
        """Read `source`, write the passages to `target`. A user's command line: nothing of ours is switched off."""
        if self.module:
            return [str(self.python), "-m", f"bench.peers.{self.module}", str(source.resolve()), str(target.resolve())]
        own = [f"--input={source}", f"--output_dir={target}", f"--sections={SECTION}", f"--session_gap={job.GAP_S}s"]
        return [str(self.python), "-m", "pipeline", *own, f"--privacy_secret={target.with_name('secret')}"]

    def wrong(self, target: Path, expected: list[Passage]) -> str | None:
        """How what was written differs from what is expected. Who finds no passage may write no file."""
        if self.module:
            written = [path for path in (target, *target.rglob("*")) if path.is_file()]
        else:
            written = list(target.glob("passages-*.ndjson"))
        try:
            found = oracle.found(written)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return f"no passages can be read from {target}: {error!r}"
        return oracle.difference(found, expected, pseudonyms=not self.module)


def own_and_loops() -> list[Participant]:
    """Those for which nothing has to be installed."""
    return [Participant(OURS), *(Participant(name, module) for name, module, _ in LOOPS)]


def everyone(folder: Path) -> Iterator[Participant]:
    """All of them; their environments are made in `folder`, which needs the network once."""
    yield from own_and_loops()
    for name, module, requirements in OTHERS:
        python, absent = OWN, None
        if module == "flink_sql" and not shutil.which("java"):
            absent = "needs Java"
        else:
            python = folder / Path(requirements).stem.replace("requirements", "peers-venv") / "bin" / "python"
            absent = _install(PEERS / requirements, python)
        yield Participant(name, module, python, absent)


def _install(requirements: Path, python: Path) -> str | None:
    """Make an environment as the Makefile makes .venv, unless it is there; if that fails, say so."""
    environment = python.parents[1]
    installed = environment / "installed"
    wanted = requirements.read_text(encoding="utf-8")
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return None
    print(f"installing {requirements.name} into {environment}", file=sys.stderr)
    uv = str(OWN.with_name("uv"))
    log = environment.with_suffix(".log")
    with log.open("wb") as file:
        for command in (
            [uv, "venv", "--clear", "--python", str(OWN), str(environment)],
            [uv, "pip", "install", "--python", str(python), "--requirements", str(requirements)],
        ):
            if subprocess.run(command, stdout=file, stderr=file, check=False).returncode:
                return f"its packages could not be installed, see {log}"
    installed.write_text(wanted, encoding="utf-8")
    return None
