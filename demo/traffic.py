"""python -m demo.traffic: the demo's cameras. Each line on standard output is the progress so far, as JSON.

The generator's own run lasts until the last vehicle has turned round and the last straggling message is out, which can
be minutes later. Here the cameras are switched off when the last new vehicle has had the time to pass; what they have
published until then is the same for the same seed, and the truth is that of what was published.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

from generator.cloud import BucketStore, PubsubSink
from generator.config import FAULTS, Config, GeneratorError, Pictures
from generator.outgoing import Scenario
from generator.run import Progress, begin_at, generate, publish
from generator.truth import write_truth
from pipeline.enforcement.sections import parse_network

VEHICLES_PER_S = 1.1
PASSING_S = 25.0  # from the first camera to the last of the demo's sections, at an easy pace
# Often enough that two minutes show each of them, seldom enough that most traffic is sound.
MORE_OFTEN = {"lateness": 0.02, "malformed": 0.01}
FAULT_RATES = {**FAULTS, **MORE_OFTEN}


def config_of(options: argparse.Namespace) -> Config:
    """Traffic a little denser than natural, with every fault."""
    return Config(
        network=parse_network(options.sections.read_text(encoding="utf-8")),
        vehicles=options.vehicles,
        rate=VEHICLES_PER_S,
        seed=options.seed,
        faults=FAULT_RATES,
        bucket=options.bucket,
        pictures=Pictures.SPEEDERS,
    )


def messages_until_passed(scenario: Scenario) -> int:
    """How many messages are due until the last new vehicle has had the time to pass, however late it is reported."""
    due_us, entered_us = [], []
    for message in scenario.messages():
        due_us.append(message.due_us)
        if message.new_vehicles:
            entered_us.append(message.earliest_us or message.due_us)
    off_us = max(entered_us) + round(PASSING_S * 1e6)
    return sum(due <= off_us for due in due_us)


def main() -> int:
    """Publish, and write the truth of what was published; the exit status."""
    options = _parser().parse_args()
    try:
        _publish(options)
    except GeneratorError as error:
        print(f"generator: {error}", file=sys.stderr)
        return 2
    return 0


def _publish(options: argparse.Namespace) -> None:
    switched_off = threading.Event()
    store = BucketStore(options.bucket, options.project_id)
    sink = PubsubSink(f"projects/{options.project_id}/topics/{options.topic_name}")
    scenario = begin_at(generate(config_of(options)), time.time_ns() // 1000)
    last = messages_until_passed(scenario)

    def tell(progress: Progress) -> None:
        print(json.dumps(asdict(progress)), flush=True)
        if progress.messages >= last:
            switched_off.set()

    progress = publish(scenario, sink, store=store, stop=switched_off, on_progress=tell)
    write_truth(options.truth, scenario.truth(progress.items))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.traffic", description=__doc__)
    for name in ("project_id", "topic_name", "bucket"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("sections", "truth"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("vehicles", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
