"""One run: messages go out when they are due, each after its pictures lie in place."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
import numpy as np

from generator.config import Config, Form
from generator.edem import EdemScenario
from generator.outgoing import Outgoing, PictureOrder, Scenario
from generator.pictures import Conditions, render
from generator.sightings import SightingScenario
from generator.sinks import PictureStore, Sink

PAINTERS = 2
AHEAD = 32  # messages whose pictures are drawn while earlier ones wait for their time
POLL_S = 0.2


@dataclass(frozen=True)
class Progress:
    """What has gone out so far: items are sightings, duplicates among them, and malformed objects."""

    messages: int = 0
    items: int = 0
    sightings: int = 0
    malformed: int = 0
    vehicles: int = 0
    pictures: int = 0

    def after(self, message: Outgoing) -> Progress:
        """The counts once this message is out."""
        return Progress(
            self.messages + 1,
            self.items + message.items,
            self.sightings + message.items - message.malformed,
            self.malformed + message.malformed,
            self.vehicles + message.new_vehicles,
            self.pictures + len(message.pictures),
        )


def generate(config: Config) -> Scenario:
    """All that a config stands for, fixed before anything is sent. Raises GeneratorError for one that cannot be."""
    return EdemScenario.draw(config) if config.form is Form.EDEM else SightingScenario.draw(config)


def begin_at(scenario: Scenario, now_us: int) -> Scenario:
    """The scenario dated so that no sighting lies in the future of the moment in which it is published.

    now_us: the time at which publishing begins, microseconds since 1970. At the road's own pace that is the first
    departure; played faster, the traffic is that of the time just past.
    """
    past = 1 - 1 / scenario.haste
    config = msgspec.structs.replace(scenario.config, start_us=now_us - round(scenario.span_us * past))
    return scenario.dated(config)


def publish(
    scenario: Scenario,
    sink: Sink,
    *,
    store: PictureStore | None = None,
    paced: bool = True,
    stop: threading.Event | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Progress:
    """Send every message of a scenario, and return what went out.

    paced: wait until each message is due, which the scenario's haste shortens. stop: set it, and the run ends after
    the message in hand; what was sent is flushed. on_progress is called after each message, in this thread.
    Raises GeneratorError when a service refuses.
    """
    stop, progress = stop or threading.Event(), Progress()
    clock = _Clock(scenario.haste if paced else float("inf"), stop)
    with ThreadPoolExecutor(PAINTERS, thread_name_prefix="painter") as painters:
        try:
            for message, pictures in _ahead(scenario.messages(), store, painters):
                clock.wait_until(message.due_us)
                for picture in pictures:
                    picture.result()
                if stop.is_set():
                    break
                sink.send(message)
                progress = progress.after(message)
                if on_progress:
                    on_progress(progress)
        finally:
            painters.shutdown(wait=True, cancel_futures=True)
            sink.flush()
    return progress


class _Clock:
    """Waits on the scenario's clock, which runs `haste` times faster than the wall's."""

    def __init__(self, haste: float, stop: threading.Event) -> None:
        self._haste, self._stop = haste, stop
        self._first_us: int | None = None
        self._began_s = time.monotonic()

    def wait_until(self, due_us: int) -> None:
        """Until the moment comes or the run is stopped."""
        if self._first_us is None:
            self._first_us = due_us
        due_s = self._began_s + (due_us - self._first_us) / 1e6 / self._haste
        while (left_s := due_s - time.monotonic()) > 0 and not self._stop.wait(min(left_s, POLL_S)):
            pass


def _ahead(
    messages: Iterator[Outgoing], store: PictureStore | None, painters: ThreadPoolExecutor
) -> Iterator[tuple[Outgoing, list[Future[None]]]]:
    """Each message with its pictures, which are begun while earlier messages wait."""
    waiting: deque[tuple[Outgoing, list[Future[None]]]] = deque()
    for message in messages:
        orders = message.pictures if store else ()
        waiting.append((message, [painters.submit(paint, order, store) for order in orders if store]))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting


def paint(order: PictureOrder, store: PictureStore) -> None:
    """Draw a picture and put it in its place."""
    rng = np.random.default_rng(order.seed)
    jpeg = render(
        order.plate,
        order.region,
        rng=rng,
        conditions=Conditions.draw(rng, light=order.light, look=order.look),
        overlay=order.overlay,
        vehicle_class=order.vehicle_class,
        look=order.look,
    )
    store.put(order.name, jpeg)
