"""One file per job: its options and its graph."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import select
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pipeline import command_lines


class Job(NamedTuple):
    """The module that runs it, which takes a while to import, and what its command line may hold."""

    module: str
    parser: Callable[[], command_lines.Parser]


_CTRL_C = KeyboardInterrupt.__name__  # as the engine tells of it, in an error of its own

# The first is the default.
JOBS: Mapping[str, Job] = {
    "section-speed": Job("pipeline.jobs.section_speed", command_lines.section_speed),
    "provision": Job("pipeline.jobs.provision", command_lines.provision),
    "deprovision": Job("pipeline.jobs.deprovision", command_lines.deprovision),
    "verify": Job("pipeline.jobs.verify", command_lines.verify),
    "selftest": Job("pipeline.jobs.selftest", command_lines.selftest),
    "review": Job("pipeline.jobs.review", command_lines.review),
    "republish": Job("pipeline.jobs.republish", command_lines.republish),
    "recall": Job("pipeline.jobs.recall", command_lines.recall),
    "what-if": Job("pipeline.jobs.what_if", command_lines.what_if),
}


def main(argv: Sequence[str]) -> int:
    """Run the job that the first argument names. Exit status: 2 for what the user can set right, told in one line, 130
    after Ctrl-C."""
    name, rest = (argv[0], argv[1:]) if argv and not argv[0].startswith("-") else ("section-speed", argv)
    if name not in JOBS:
        return _mistake(f"{name}: no such job; allowed: {', '.join(JOBS)}")
    if {"-h", "--help"} & set(rest):
        JOBS[name].parser().print_help()
        return 0
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger().addFilter(_is_news)
    job = importlib.import_module(JOBS[name].module)
    try:
        status = int(job.run(rest))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if (told := _told(error)) is None:
            raise
        return told
    return status


def _told(error: Exception) -> int | None:
    """The exit status of an error that was told to the user; None where it is nothing that a user can set right."""
    if _CTRL_C in str(error):
        return _interrupted()
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return 1
    text = _for_people(error)
    return None if text is None else _mistake(text)


def _is_news(record: logging.LogRecord) -> bool:
    """Beam repeats for every batch of pictures that it could not measure its own memory."""
    return "memory usage cannot be fetched" not in record.msg


def _for_people(error: Exception) -> str | None:
    """One line for what a user can set right: an own error, or a service that cannot be used; else None."""
    if isinstance(error, ValueError) and type(error).__module__.startswith("pipeline."):
        return str(error)
    if type(error).__module__.startswith(("google.api_core", "google.auth")):
        return f"a Google service cannot be used: {type(error).__name__}: {str(error).splitlines()[0]}"
    if os.strerror(errno.ENOSPC) in str(error):
        return (
            f"no space left on the disk of the results or on that of the temporary files, {tempfile.gettempdir()}. "
            "Make room, or set TMPDIR to a folder with more"
        )
    return None


def _nobody_reads() -> bool:
    """Whether whoever read what is printed has left, as head does. Then the interpreter does not complain, either."""
    printed = select.poll()
    try:
        printed.register(sys.stdout.fileno(), 0)
    except OSError:  # it is no file
        return False
    if not any(event & select.POLLERR for _, event in printed.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _interrupted() -> int:
    print("python -m pipeline: interrupted; nothing more is written", file=sys.stderr)
    return 130


def _mistake(text: str) -> int:
    print(f"python -m pipeline: {text}", file=sys.stderr)
    return 2
