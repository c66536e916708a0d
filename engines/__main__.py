"""python -m engines: the bounded job on several engines, on the same sightings; all must give the same results."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from engines.comparison import Row, compare
from engines.running import Job

SECTIONS = Path("templates/sections.yaml")
SIGHTINGS_OF_TEN_VEHICLES = 27  # on the sections of SECTIONS
HEADER = ("engine", "sightings", "passages", "seconds", "identical")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"python -m engines: {message.removeprefix('argument ')}", file=sys.stderr)
        raise SystemExit(2)


def main() -> int:
    """Compare and print; 0 if every engine gave the same."""
    parser = _Parser(prog="python -m engines", description=__doc__)
    parser.add_argument("--input", type=_file, help="file of JSON lines. Default: generated sightings")
    parser.add_argument("--sections", type=_file, help=f"section file, needed with --input. Default: {SECTIONS}")
    parser.add_argument("--sightings", type=int, default=1_000_000, help="how many to generate. Default: 1,000,000")
    parser.add_argument("--seed", type=int, default=58, help="of what is generated. Default: 58")
    parser.add_argument("--job_endpoint", help="HOST:PORT of one more engine's job server on this machine")
    parser.add_argument("--limit_s", type=float, default=1800.0, help="a run that takes longer is ended. Default: 1800")
    parser.add_argument("--out", type=Path, default=Path("out/engines"), help="folder for everything")
    args = parser.parse_args()
    if bool(args.input) != bool(args.sections):
        parser.error("--input, --sections: found one of them; allowed: both or neither. Name the sections of the input")
    if args.sightings < 1:
        parser.error(f"--sightings: found {args.sightings}; allowed: 1 or more")
    args.out.mkdir(parents=True, exist_ok=True)
    source = args.input or generated(args.out, args.sightings, args.seed)
    job = Job(source.resolve(), (args.sections or SECTIONS).resolve(), (args.out / "secret").resolve(), args.limit_s)
    print(_line(*HEADER), flush=True)
    rows = []
    for row in compare(job, args.out.resolve(), args.job_endpoint):
        rows.append(row)
        print(_shown(row), flush=True)
    sound = all(row.sound for row in rows)
    print("passed: every engine gave the same results" if sound else f"failed: see above, and the logs in {args.out}")
    return 0 if sound else 1


def _file(text: str) -> Path:
    if not (path := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"found {text}, which is no file; allowed: an existing file")
    return path


def generated(folder: Path, sightings: int, seed: int) -> Path:
    """A file of about so many sightings, made once."""
    path = folder / f"{sightings}-{seed}.ndjson"
    if not path.exists():
        vehicles = max(sightings * 10 // SIGHTINGS_OF_TEN_VEHICLES, 1)
        whole = path.with_name(f"unfinished-{path.name}")
        command = [sys.executable, "-m", "generator", "--sections", str(SECTIONS), "--vehicles", str(vehicles)]
        subprocess.run([*command, "--seed", str(seed), "--faults", "all", "--output", str(whole)], check=True)
        whole.rename(path)
    return path


def _shown(row: Row) -> str:
    found = row.run.results
    return _line(
        row.engine,
        f"{found['sightings'].n + found['rejected'].n:,}",
        f"{found['passages'].n:,}",
        f"{row.run.seconds:.1f}",
        row.verdict,
    )


def _line(engine: str, sightings: str, passages: str, seconds: str, identical: str) -> str:
    return f"{engine:<32}{sightings:>12}{passages:>12}{seconds:>9}  {identical}"


if __name__ == "__main__":
    sys.exit(main())
