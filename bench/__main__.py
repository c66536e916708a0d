"""python -m bench: the bounded and the streaming job, measured; results as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench import bounded, machine, streaming


def main() -> int:
    """Measure, print, and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=("bounded", "streaming"))
    parser.add_argument("--sightings", type=int, default=1_000_000, help="for the bounded job. Default: 1,000,000")
    parser.add_argument("--streamed", type=int, default=100_000, help="for the streaming job. Default: 100,000")
    parser.add_argument("--rate", type=float, default=1000.0, help="sightings a second. Default: 1000")
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {"machine": machine.described()}
    if args.only != "streaming":
        results["bounded"] = bounded.measure(args.out, args.sightings)
    if args.only != "bounded":
        results["streaming"] = streaming.measure(args.out / "streaming", args.streamed, args.rate)
    text = json.dumps(results, indent=2)
    (args.out / "results.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
