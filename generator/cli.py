"""The command line. All options are checked before anything starts; a mistake is one line and exit code 2."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from generator.config import (
    DEFAULT_START_US,
    FAULTS,
    ClockShift,
    Config,
    Form,
    GeneratorError,
    Pictures,
    parse_clock_shift,
    parse_coordinates,
    parse_faults,
)
from pipeline.enforcement.sections import Network, parse_limit_kmh, parse_network
from pipeline.enforcement.survey import SectionError

TOPIC = re.compile(r"projects/[^/\s]+/topics/[^/\s]+")
SHORT_TOPIC = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
EPILOG = """examples:
  python -m generator --sections templates/sections.yaml --faults all --output day.ndjson.gz --truth truth.ndjson
  python -m generator --sections templates/sections.yaml --project_id P --topic_name T --bucket B --truth truth.ndjson
  python -m generator --format edem --project_id P --topic_name T \\
      --initial_coordinates "(40.76,-73.97)" --final_coordinates "(40.75,-73.98)"
  python -m generator score --truth truth.ndjson --fines fines.ndjson
faults, with their default rates: """ + ", ".join(f"{name}={rate}" for name, rate in FAULTS.items())


class _Parser(argparse.ArgumentParser):
    """argparse prints its usage before a mistake; one line is easier to read."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the generator or, as `score ...`, the score; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _score(words[1:]) if words[:1] == ["score"] else _generate(words)
    except (GeneratorError, SectionError) as error:
        print(f"generator: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m generator",
        description="Simulated cameras: traffic whose truth is known, published to Pub/Sub or written to a file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_destination(parser)
    _add_traffic(parser)
    _add_pictures(parser)
    return parser


def _add_destination(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where to")
    group.add_argument("--project_id", metavar="P", help="Google Cloud project; default: $GOOGLE_CLOUD_PROJECT")
    group.add_argument("--topic_name", metavar="T", help="Pub/Sub topic, short name or projects/P/topics/T")
    group.add_argument("--output", metavar="FILE", type=Path, help=".ndjson or .ndjson.gz instead of Pub/Sub")
    group.add_argument("--truth", metavar="FILE", type=Path, help="write the true passages here (ndjson)")
    group.add_argument(
        "--batch", metavar="N", type=int, help="most sightings in a message; default: 100, with --format edem 1"
    )
    group.add_argument(
        "--batch_seconds", metavar="S", type=float, default=1.0, help="longest time one message gathers; default: 1"
    )
    group.add_argument("--gzip", action="store_true", help="compress messages (attribute content_encoding=gzip)")


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("traffic")
    group.add_argument("--format", choices=list(Form), default=Form.SIGHTING, help="default: sighting")
    group.add_argument("--sections", metavar="FILE", type=Path, help="section file (YAML); needed for sightings")
    group.add_argument("--initial_coordinates", metavar="(LAT,LON)", help="EDEM: where the section begins")
    group.add_argument("--final_coordinates", metavar="(LAT,LON)", help="EDEM: where it ends")
    group.add_argument("--limit", default="25 mph", help='EDEM: the limit for the truth; default: "25 mph"')
    group.add_argument("--vehicles", metavar="N", type=int, default=300, help="default: 300")
    group.add_argument(
        "--rate",
        metavar="R",
        type=float,
        help="vehicles a second; default: natural traffic in real time (EDEM: 1). More than the road carries is "
        "natural traffic played faster, dated back so that it ends now; 0 is as fast as possible",
    )
    group.add_argument("--speeders", metavar="SHARE", type=float, default=0.12, help="of the drivers; default: 0.12")
    group.add_argument("--faults", default="none", help="all, none, or name=rate,... (see below); default: none")
    group.add_argument(
        "--clock_shift",
        metavar="CAMERA,SECONDS,AFTER",
        help="one camera's clock is off by so many seconds, above 0 late, from so many seconds after the start on",
    )
    group.add_argument("--seed", metavar="S", type=int, default=1, help="same seed, same traffic; default: 1")
    group.add_argument("--start_time", metavar="T", help="of a file, RFC 3339; default: 2026-03-02T13:00:00Z")


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pictures")
    group.add_argument("--bucket", metavar="B", help="existing bucket for the pictures, uploaded before their sighting")
    group.add_argument(
        "--cars_dir", metavar="DIR", type=Path, help="EDEM: folder for VEHICLE_ID.jpg instead of a bucket"
    )
    group.add_argument(
        "--pictures",
        choices=list(Pictures),
        help="whose pictures are drawn; default: speeders if there is a bucket or folder. speeders: every vehicle that "
        "a reader could suspect: near or over the limit, misread, twin or clone, or timed by a bad clock; the others' "
        "image_url then names a picture that does not exist, and nobody has a reason to ask for it",
    )


def _generate(words: Sequence[str]) -> int:
    options = _parser().parse_args(words)
    config = _config(options)
    topic = None if options.output else _topic(options)
    from generator.terminal import run  # noqa: PLC0415 (--help and mistakes answer before numpy is there)

    return run(config, options, topic)


def _config(options: argparse.Namespace) -> Config:
    form = Form(options.format)
    _check_numbers(options)
    _check_places(options, form)
    stored = options.bucket or options.cars_dir
    pictures = Pictures(options.pictures or (Pictures.SPEEDERS if stored else Pictures.NONE))
    if pictures is not Pictures.NONE and not stored:
        raise GeneratorError(f"--pictures {pictures}: found no place for them. Give --bucket, or with EDEM --cars_dir.")
    edem = form is Form.EDEM
    network = None if edem else _network(options.sections)
    return Config(
        network=network,
        form=form,
        vehicles=options.vehicles,
        rate=options.rate,
        seed=options.seed,
        start_us=_start_us(options.start_time),
        speeders=options.speeders,
        faults=parse_faults(options.faults, form),
        bucket=options.bucket,
        pictures=pictures,
        batch=options.batch or (1 if edem else 100),
        batch_us=float("inf") if options.output else options.batch_seconds * 1e6,
        initial=parse_coordinates(options.initial_coordinates, "--initial_coordinates") if edem else None,
        final=parse_coordinates(options.final_coordinates, "--final_coordinates") if edem else None,
        limit_kmh=parse_limit_kmh(options.limit, "--limit"),
        clock_shift=_clock_shift(options.clock_shift, network),
    )


def _clock_shift(text: str | None, network: Network | None) -> ClockShift | None:
    if text is None:
        return None
    if network is None:
        raise GeneratorError("--clock_shift: found with --format edem, whose messages tell no time. Leave it out.")
    return parse_clock_shift(text, network.cameras)


def _check_numbers(options: argparse.Namespace) -> None:
    checks = (
        ("--vehicles", options.vehicles, 1 <= options.vehicles <= 10_000_000, "a whole number from 1 to 10,000,000"),
        ("--seed", options.seed, options.seed >= 0, "a whole number from 0"),
        ("--rate", options.rate, options.rate is None or 0 <= options.rate < 1e6, "vehicles a second, 0 or more"),
        ("--speeders", options.speeders, 0 <= options.speeders <= 1, "a share from 0 to 1"),
        ("--batch", options.batch, options.batch is None or 1 <= options.batch <= 10_000, "a number from 1 to 10,000"),
        ("--batch_seconds", options.batch_seconds, 0 < options.batch_seconds <= 60, "seconds, up to 60"),
    )
    for option, found, right, allowed in checks:
        if not right:
            raise GeneratorError(f"{option}: found {found}; allowed: {allowed}.")


def _check_places(options: argparse.Namespace, form: Form) -> None:
    if form is Form.EDEM:
        for option in ("initial_coordinates", "final_coordinates"):
            if getattr(options, option) is None:
                raise GeneratorError(f'--{option}: needed with --format edem. Write for example "(40.76,-73.97)".')
    elif options.sections is None:
        raise GeneratorError(
            "--sections: needed with --format sighting. Give a section file, such as templates/sections.yaml; "
            "for EDEM's messages give --format edem."
        )
    elif options.cars_dir:
        raise GeneratorError(
            "--cars_dir: allowed with --format edem only. Sightings name their pictures: give --bucket."
        )
    if bool(options.output) == bool(options.topic_name):
        raise GeneratorError("--output, --topic_name: give exactly one of them: a file or a Pub/Sub topic.")
    if options.output and not re.search(r"\.ndjson(\.gz)?$", options.output.name):
        raise GeneratorError(f"--output: found {options.output}; allowed: a name ending in .ndjson or .ndjson.gz.")
    if options.output and options.truth and _same_file(options.output, options.truth):
        raise GeneratorError(
            f"--truth: found {options.truth}, which is the file of --output too; allowed: another one. Name two files."
        )


def _same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file, which need not exist yet."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _network(path: Path) -> Network:
    try:
        return parse_network(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise GeneratorError(f"--sections: cannot read {path}: {error}. Give a section file (YAML).") from error
    except SectionError as error:
        raise GeneratorError(f"--sections {path}: {error}") from error


def _start_us(text: str | None) -> int:
    if text is None:
        return DEFAULT_START_US
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise GeneratorError(
            f"--start_time: found {text!r}; allowed: RFC 3339 with a zone. Write for example 2026-03-02T13:00:00Z."
        )
    return round(moment.timestamp() * 1e6)


def _topic(options: argparse.Namespace) -> str:
    name = str(options.topic_name)
    if TOPIC.fullmatch(name):
        return name
    if not SHORT_TOPIC.fullmatch(name):
        raise GeneratorError(f"--topic_name: found {name!r}; allowed: a topic's name, or projects/P/topics/T.")
    project = options.project_id or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise GeneratorError(f"--project_id: needed for the short --topic_name {name}. Give it, or the full name.")
    return f"projects/{project}/topics/{name}"


def _score(words: Sequence[str]) -> int:
    parser = _Parser(
        prog="python -m generator score",
        description="Compare fines with the truth. Exit code 1 if any fine is wrong.",
    )
    parser.add_argument("--truth", metavar="FILE", type=Path, required=True, help="what the generator's --truth wrote")
    parser.add_argument(
        "--fines", metavar="FILE", type=Path, nargs="+", required=True, help="fines as published (ndjson)"
    )
    parser.add_argument(
        "--alarms", metavar="FILE", type=Path, nargs="+", default=[], help="alarms as published (ndjson)"
    )
    options = parser.parse_args(words)
    from generator.score import read_alarms, read_fines, score, table  # noqa: PLC0415 (see _generate)
    from generator.truth import read_truth  # noqa: PLC0415

    try:
        result = score(read_truth(options.truth), read_fines(options.fines), read_alarms(options.alarms))
    except OSError as error:
        raise GeneratorError(f"{error.filename}: cannot be read: {error.strerror}. Check the name.") from error
    print(table(result))
    return 1 if result.wrong else 0
