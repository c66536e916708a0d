"""python -m bench: the jobs, the reader of plates, and what a user would pick instead, measured on this machine."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from bench import (
    bounded,
    check,
    clocks,
    comparison,
    cost,
    fines,
    machine,
    ocr,
    participants,
    plot,
    scale,
    steps,
    streaming,
    table,
)
from bench.comparison import Result, WrongOutputError


def main() -> int:
    """Measure, print, and keep the results; 0 if every participant gave the same passages and none became slower."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.check or args.keep:
        return _check(args.out / "check", keep=args.keep)
    if args.only == "cost":
        print(cost.tables(cost.inputs()))
        return 0
    if args.only == "scale":
        return _scale(args)
    if args.only == "fines":
        return _fines(args)
    if args.only in (None, *steps.PARTS):
        steps.print_and_keep(args.out / "steps", args.only, args.repeats)
    if args.only in (None, "bounded", "streaming", "ocr", "clocks"):
        _print_jobs(args)
    if args.only not in (None, "peers"):
        return 0
    everyone = participants.everyone(args.out)
    result = comparison.compare(everyone, args.out / "peers", args.compared, args.repeats)
    _print_peers(result, args.out)
    return 0 if result.sound else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", choices=("bounded", "streaming", "ocr", "clocks", "peers", "scale", "cost", "fines", *steps.PARTS)
    )
    parser.add_argument("--sightings", type=int, default=1_000_000, help="for the bounded job. Default: 1,000,000")
    parser.add_argument("--streamed", type=int, default=100_000, help="for the streaming job. Default: 100,000")
    parser.add_argument("--rate", type=float, default=1000.0, help="sightings a second. Default: 1000")
    parser.add_argument("--pictures", type=_at_least_one, default=200, help="for the reader of plates. Default: 200")
    parser.add_argument("--cases", type=_at_least_one, default=200, help="days with a wrong clock. Default: 200")
    parser.add_argument("--vehicles", type=_at_least_one, default=fines.VEHICLES, help="for fines. Default: 20,000")
    parser.add_argument(
        "--seeds", type=_at_least_one, nargs="+", default=fines.SEEDS, help="for fines. Default: 1 to 5"
    )
    parser.add_argument("--compared", type=int, default=200_000, help="for the comparison. Default: 200,000")
    parser.add_argument("--repeats", type=_at_least_one, default=5, help="runs of each one compared. Default: 5")
    parser.add_argument(
        "--scale", type=_at_least_one, nargs="+", default=scale.SIZES, help="sightings of each run of scale"
    )
    parser.add_argument("--work", type=Path, help="for scale: 1.3 kilobytes a sighting are needed there, and removed")
    parser.add_argument("--together", type=_at_least_one, help="for scale: a larger size is several runs of so many")
    parser.add_argument("--check", action="store_true", help="only: are we slower than bench/kept.json says?")
    parser.add_argument("--keep", action="store_true", help="only: write bench/kept.json")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text}; allowed: 1 or more")
    return int(text)


def _print_jobs(args: argparse.Namespace) -> None:
    results: dict[str, object] = {"machine": machine.described()}
    if args.only in (None, "bounded"):
        results["bounded"] = bounded.measure(args.out, args.sightings)
    if args.only in (None, "streaming"):
        results["streaming"] = streaming.measure(args.out / "streaming", args.streamed, args.rate)
    if args.only in (None, "ocr"):
        results["ocr"] = ocr.measure(args.pictures)
    if args.only == "clocks":  # a matter of evidence, not of speed
        results["clocks"] = clocks.measure(args.cases)
    text = json.dumps(results, indent=2)
    (args.out / "results.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def _scale(args: argparse.Namespace) -> int:
    folder = args.out / "scale"
    try:
        result = scale.measure((args.work or folder).resolve(), args.scale, args.together)
    except WrongOutputError as error:
        print(f"failed: wrong: {error}")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    kept = {"machine": machine.described(), "scale": scale.as_json(result)}
    (folder / "scale.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(scale.table(result, machine.described()))
    return 0


def _fines(args: argparse.Namespace) -> int:
    folder = args.out / "fines"
    shutil.rmtree(folder, ignore_errors=True)
    days = fines.measure(folder, args.vehicles, args.seeds)
    kept = {"machine": machine.described(), "vehicles": args.vehicles, "fines": fines.as_json(days)}
    (folder / "fines.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(fines.table(days))
    return 1 if any(day.score.wrong for day in days) else 0


def _print_peers(result: Result, folder: Path) -> None:
    here = machine.described()
    text = json.dumps(table.as_json(result, here), indent=2)
    (folder / "peers.json").write_text(text + "\n", encoding="utf-8")
    (folder / "peers.svg").write_text(plot.svg(result), encoding="utf-8")
    print(table.table(result, here))


def _check(folder: Path, *, keep: bool) -> int:
    try:
        ratio = check.measure(folder)
        if keep:
            check.keep(ratio, machine.described())
        kept = check.kept_ratio()
        verdict = check.verdict(ratio, kept)
        for _ in range(check.AGAIN):  # what has become slower stays so; a burst of other work does not
            if verdict.sound:
                break
            print(f"once more, {verdict.text}", flush=True)
            verdict = check.verdict(check.measure(folder), kept)
    except WrongOutputError as error:
        print(f"failed: wrong: {error}")
        return 1
    print(verdict.text)
    return 0 if verdict.sound else 1


if __name__ == "__main__":
    sys.exit(main())
