"""The command line of the demo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from demo.progress import Screen
from demo.run import Plan, run
from demo.stages import DemoError
from localcloud import LocalCloudError

VEHICLES, SEED = 80, 31
MISTAKE = 2


class _Parser(argparse.ArgumentParser):
    """A mistake is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}. See {self.prog} --help.\n")


def main(argv: Sequence[str], check_interrupt: Callable[[], None]) -> int:
    """Run the demo; 0 if nothing was lost and no fine is wrong, 1 if not, 2 for a mistake on the command line."""
    plan = parse(argv)
    try:
        return run(plan, Screen(sys.stdout), check_interrupt)
    except (DemoError, LocalCloudError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def parse(argv: Sequence[str]) -> Plan:
    """The plan of a command line. Exits with status 2 and one line for a mistake."""
    parser = _Parser(prog="python -m demo", description="Services, pipeline and simulated cameras on this machine.")
    parser.add_argument(
        "--vehicles", type=_whole(1, 100_000), default=VEHICLES, help=f"default: {VEHICLES}, four minutes"
    )
    parser.add_argument(
        "--seed", type=_whole(0, 2**32 - 1), default=SEED, help=f"same seed, same traffic; default: {SEED}"
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of results; default: out/demo")
    options = parser.parse_args(argv)
    return Plan(options.vehicles, options.seed, options.out)


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse_number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"found {text!r}; allowed: a whole number from {least:,} to {most:,}")
        return int(text)

    return parse_number
