"""A graph of the same shape as the streaming job's that does nothing: what remains in it is the harness's own work.

Step for step it moves as many elements of about as many bytes the same way: messages come in, leave two steps as they
are, fan out into as many elements as the job keys, each with its time; they go through the same session windows and
the same grouping; a step with the same state and timer reads and writes as many bytes for each session. But all
elements are bytes that were made ready before, in Beam's own coder for bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms import userstate, window
from apache_beam.typehints import KV
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Duration
from apache_beam.utils.windowed_value import WindowedValue

from bench import streamed
from pipeline.enforcement.model import Message
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.sessions import GroupSessions, keyed

NUMBER_BYTES = 8
Keyed = tuple[bytes, bytes]

_ready: list[list[WindowedValue]] = []  # of each message; the harness works in this process


def make_ready(messages: Iterable[Message], settings: Settings) -> None:
    """Decode and key the messages, so that nobody need do it any more."""
    _ready[:] = [[_bytes_of(one) for one in _keyed(message, settings)] for message in messages]


def _keyed(message: Message, settings: Settings) -> Iterable[WindowedValue]:
    batch, _ = settings.intake.read(message, message.received_us)
    return keyed(batch)


def _bytes_of(one: WindowedValue) -> WindowedValue:
    vehicle_id, sighting = one.value
    coder = StructCoder(type(sighting))
    return one.with_value((vehicle_id.encode(), coder.encode(sighting)))


def numbered(encoded: Sequence[bytes]) -> list[bytes]:
    """As many bytes as each message has, which tell no more than its number."""
    return [number.to_bytes(NUMBER_BYTES, "big").ljust(len(one), b"\0") for number, one in enumerate(encoded)]


def pipeline(settings: Settings, encoded: Sequence[bytes], runner: Any, sizes: tuple[int, int]) -> beam.Pipeline:  # noqa: ANN401
    """The graph. sizes: bytes of state and of output for each session."""
    made = streamed.new_pipeline(runner)
    messages = made | "Pull" >> streamed.from_memory(numbered(encoded))
    decoded = (
        messages
        | "Unpack" >> beam.Map(same).with_output_types(bytes)
        | "Take message" >> beam.Map(same).with_output_types(bytes)
        | "Decode" >> beam.ParDo(_Same()).with_outputs("rejected", main="located")
    )
    decoded.located.element_type = bytes
    sessions = _grouped(decoded.located, settings)
    ways = sessions | "Remember" >> beam.ParDo(_Remember(*sizes)).with_outputs("settled", "withdrawn", main="suspected")
    ways.settled.element_type = bytes
    _ = ways.settled | "Hand on" >> beam.Reshuffle()
    return made


def _grouped(located: beam.PCollection[bytes], settings: Settings) -> beam.PCollection[Any]:
    """As GroupSessions does it, in its very windows."""
    own = GroupSessions(settings)
    return (
        located
        | "Key" >> beam.FlatMap(fan_out).with_output_types(KV[bytes, bytes])
        | "Session windows" >> own.windows()
        | "Group" >> beam.GroupByKey()
        | "Leave windows" >> beam.WindowInto(window.GlobalWindows())
    )


def same(element: bytes) -> bytes:
    """It."""
    return element


def fan_out(message: bytes) -> list[WindowedValue]:
    """What was made ready for it."""
    return _ready[int.from_bytes(message[:NUMBER_BYTES], "big")]


class _Same(beam.DoFn):
    def process(self, element: bytes, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[bytes]:  # noqa: ANN401
        yield element


class _Remember(beam.DoFn):
    """Reads, writes and sets what the job's step does for each session; one element at the end of a bundle."""

    HISTORY = userstate.ReadModifyWriteStateSpec("history", BytesCoder())
    FORGET = userstate.TimerSpec("forget", beam.TimeDomain.WATERMARK)

    def __init__(self, state_bytes: int, out_bytes: int) -> None:
        self._state, self._out_bytes = bytes(state_bytes), out_bytes

    def start_bundle(self) -> None:
        self._sessions = 0

    def process(
        self,
        element: tuple[bytes, Iterable[bytes]],
        history: Any = beam.DoFn.StateParam(HISTORY),  # noqa: ANN401, B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: ANN401, B008
    ) -> Iterator[bytes]:
        for _ in element[1]:
            pass
        history.read()
        history.write(self._state)
        forget.set(MAX_TIMESTAMP - Duration(seconds=1))
        self._sessions += 1
        yield from ()

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        everywhere = window.GlobalWindow()
        if self._sessions:
            out = bytes(self._sessions * self._out_bytes)
            yield TaggedOutput("settled", WindowedValue(out, everywhere.max_timestamp(), [everywhere]))

    @userstate.on_timer(FORGET)
    def forget(self, history: Any = beam.DoFn.StateParam(HISTORY)) -> None:  # noqa: ANN401, B008
        history.clear()
