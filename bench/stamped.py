"""The streaming job with the times noted at which suspected violations pass its steps: python -m bench.stamped FILE ...

The rest of the command line is that of python -m pipeline section-speed. FILE gets a line "passage_id step seconds" for
each. The steps are the job's own; only what goes in or comes out of them is looked at.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TextIO

from pipeline.enforcement.model import Case, Passage
from pipeline.enforcement.records import Fine
from pipeline.jobs import section_speed
from pipeline.transforms import judge, pictures, sinks, twins

COMPARED, KEPT, READ, COMMITTED = "compared", "kept", "read", "committed"


class Stamps:
    """Notes what passes."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def note(self, step: str, found: object) -> None:
        """The passage that an element is about, unless it is about none or several."""
        about = found.passage if isinstance(found, Case) else found
        if isinstance(about, Passage | Fine):
            self._file.write(f"{about.passage_id} {step} {time.time():.6f}\n")

    def outputs(self, process: Callable[..., Any], step: str) -> Callable[..., Any]:
        """The same method of a DoFn, whose outputs are noted."""

        @wraps(process)
        def noted(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401
            for found in process(*args, **kwargs) or ():
                self.note(step, found)
                yield found

        return noted

    def inputs(self, process: Callable[..., Any], step: str, place: int) -> Callable[..., Any]:
        """The same function, of whose arguments that in `place` is noted."""

        @wraps(process)
        def noted(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            self.note(step, args[place])
            return process(*args, **kwargs)

        return noted


def look_into(stamps: Stamps) -> None:
    """Put the noting functions in place of the plain ones, for this process."""
    hold: Any = twins._Hold
    hold._go_on = stamps.outputs(hold._go_on, COMPARED)
    keep: Any = pictures._Keep
    keep.process = stamps.outputs(keep.process, KEPT)
    judged: Any = judge._Judge
    judged.process = stamps.inputs(judged.process, READ, place=1)
    sinks.message = stamps.inputs(sinks.message, COMMITTED, place=0)


def main() -> int:
    """Run the job."""
    path, *argv = sys.argv[1:]
    with open(path, "w", encoding="ascii", buffering=1) as file:
        look_into(Stamps(file))
        return section_speed.run(argv)


if __name__ == "__main__":
    sys.exit(main())
