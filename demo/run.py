"""One run of the demo: start everything, watch, score, report, stop everything."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

import localcloud
from demo import folder, ledger, packets, stages, wording
from demo.findings import Findings, PictureShelf
from demo.folder import Folder
from demo.inbox import Inbox, latest
from demo.ledger import Published, Summary, Times
from demo.progress import Screen
from demo.report import write_report
from demo.stages import PROJECT_FOLDER, Stage
from demo.warehouse import Warehouse
from demo.watch import Watch
from generator.score import Score, Verdict
from generator.truth import TruthRecord, read_truth
from localcloud import LocalCloud
from pipeline.deployment.plan import Resources
from pipeline.enforcement.records import Fine
from pipeline.enforcement.sections import Network, parse_network
from pipeline.provision import provision

SECTIONS = PROJECT_FOLDER / "templates" / "demo_sections.yaml"


@dataclass(frozen=True)
class Plan:
    """What a run is told."""

    vehicles: int
    seed: int
    out: Path


def run(plan: Plan, screen: Screen, check_interrupt: Callable[[], None]) -> int:
    """The whole demo; its exit status. Raises DemoError or LocalCloudError, whose text is for a person."""
    began_s = time.monotonic()
    with ExitStack() as stack:
        out = stack.enter_context(folder.fresh(plan.out))
        screen.say(f"Section speed enforcement on this machine: {plan.vehicles:,} vehicles, seed {plan.seed}")
        cloud = _start_services(out, screen, stack)
        up_s = time.monotonic()
        screen.item("services", f"Pub/Sub, Cloud Storage, BigQuery and Vision are up after {up_s - began_s:.1f} s")
        network = parse_network(SECTIONS.read_text(encoding="utf-8"))
        watch = _start_stages(plan, out, cloud, network, screen, stack, check_interrupt)
        watch.until_sent()
        truth = read_truth(out.truth)
        lost = watch.until_settled(truth)
        screen.end_status()
        first_fine_s = None if watch.first_fine_s is None else watch.first_fine_s - up_s
        times = Times(up_s - began_s, first_fine_s, time.monotonic() - began_s)
        resources = Resources.named_after(localcloud.DEFAULT_PROJECT)
        lost = [*lost, *_check_packets(resources, out, watch.inbox.received)]
        summary, result = _conclude(plan, out, truth, watch, times, lost)
        findings = _findings(plan, network, summary, result, watch)
        write_report(out.report, findings)
    _tell(summary, result, out, screen)
    return summary.exit_status


def _start_services(out: Folder, screen: Screen, stack: ExitStack) -> LocalCloud:
    notes: list[str] = []  # the death of a service comes here too; the watch tells it better
    cloud = stack.enter_context(localcloud.running(out.cloud, log=notes.append))
    for note in notes:
        screen.item("services", note)
    # From here on the clients of this process find the services as those of any other do.
    os.environ.update(cloud.env)
    return cloud


def _start_stages(
    plan: Plan,
    out: Folder,
    cloud: LocalCloud,
    network: Network,
    screen: Screen,
    stack: ExitStack,
    check_interrupt: Callable[[], None],
) -> Watch:
    resources = Resources.named_after(localcloud.DEFAULT_PROJECT)
    made = [step.kind for step in provision(resources)]
    screen.item("provision", ", ".join(wording.count(made.count(kind), kind) for kind in dict.fromkeys(made)))
    gap_s = network.session_gap_s()
    screen.item("sections", f"{len(network.sections)}; a session ends {gap_s:.0f} s after its vehicle was last seen")
    pipeline = _start("pipeline", "pipeline", pipeline_options(out, resources), cloud.env, out, screen, stack)
    cameras = _start("cameras", "demo.traffic", camera_options(plan, out, resources), cloud.env, out, screen, stack)
    inbox = stack.enter_context(Inbox(resources.project, resources.output_subscription))
    warehouse = Warehouse(resources.project, resources.dataset, gap_s)
    return Watch(cloud, pipeline, cameras, inbox, warehouse, screen, check_interrupt, gap_s)


def _start(
    name: str, module: str, argv: list[str], env: Mapping[str, str], out: Folder, screen: Screen, stack: ExitStack
) -> Stage:
    stage = stack.enter_context(stages.running(name, module, argv, env, out.logs))
    screen.item(name, f"started, log in {stage.log}")
    return stage


def pipeline_options(out: Folder, resources: Resources) -> list[str]:
    """The command line of the pipeline."""
    options = {
        "project_id": resources.project,
        "input_subscription": resources.input_subscription,
        "output_topic": resources.output_topic,
        "rejected_topic": resources.rejected_topic,
        "alarms_topic": resources.alarms_topic,
        "dataset": resources.dataset,
        "evidence_bucket": resources.evidence_bucket,
        "sections": str(SECTIONS),
        "privacy_secret": str(out.secret),
        "signing_key": str(out.signing_key),
    }
    return [f"--{name}={value}" for name, value in options.items()]


def camera_options(plan: Plan, out: Folder, resources: Resources) -> list[str]:
    """The command line of the cameras."""
    options = {
        "project_id": resources.project,
        "topic_name": resources.input_topic,
        "bucket": resources.camera_bucket,
        "sections": str(SECTIONS),
        "truth": str(out.truth),
        "vehicles": str(plan.vehicles),
        "seed": str(plan.seed),
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _check_packets(resources: Resources, out: Folder, received: Sequence[Fine]) -> list[str]:
    packets.fetch(resources.project, resources.evidence_bucket, out.evidence)
    packets.lay_out_sheets(out.evidence, out.sheets, received)
    return packets.problems(out.evidence, out.public_key, received)


def _conclude(
    plan: Plan, out: Folder, truth: list[TruthRecord], watch: Watch, times: Times, lost: Sequence[str]
) -> tuple[Summary, Score]:
    received = watch.inbox.received
    out.fines.write_bytes(msgspec.json.Encoder().encode_lines(received))
    result = ledger.scored(truth, received, watch.warehouse.alarms())
    published = Published.of(truth)
    summary = ledger.summarise(plan.seed, published, watch.stored, latest(received), result, times, lost)
    text = json.dumps(summary.as_json(), indent=2, ensure_ascii=False)
    out.summary.write_text(text + "\n", encoding="utf-8")
    return summary, result


def _findings(plan: Plan, network: Network, summary: Summary, result: Score, watch: Watch) -> Findings:
    return Findings(
        summary=summary,
        sections=tuple(network.sections.values()),
        passages=watch.warehouse.passages(),
        fines=latest(watch.inbox.received),
        rejected=watch.warehouse.rejected(),
        verdicts=result.findings,
        picture=PictureShelf(localcloud.DEFAULT_PROJECT).read,
        folder=plan.out,
    )


def _tell(summary: Summary, result: Score, out: Folder, screen: Screen) -> None:
    screen.say("")
    screen.item(
        "score",
        f"{summary.right} right, {summary.wrong} wrong, {summary.missed} missed, "
        f"{summary.unprovable} not provable, {summary.same_trip} of the same trip, {summary.reviews} for a person, "
        f"{summary.offered} offered as a pair; {summary.violations} true violations",
    )
    for finding in (*result.of(Verdict.WRONG), *result.of(Verdict.MISSED), *result.of(Verdict.UNPROVABLE)):
        screen.item("", f"{finding.verdict}: {finding.vehicle_id} in {finding.section_id}: {finding.explanation}")
    screen.item("sightings", summary.sightings_line)
    screen.item("passages", summary.passages_line)
    first = (
        "none"
        if summary.seconds_to_first_fine is None
        else f"{summary.seconds_to_first_fine:.0f} s after the services were up"
    )
    screen.item("time", f"{summary.seconds:.0f} s in all; first fine {first}")
    screen.item("results", f"{out.report} (open it), {out.summary}, {out.fines}, {out.truth}")
    made = sum(1 for _ in out.evidence.rglob("*.zip"))
    screen.item(
        "packets", f"{made} signed, to check: python -m pipeline verify --public_key {out.public_key} {out.evidence}"
    )
    for failure in summary.failures:
        screen.item("FAILED", failure)
    if summary.passed:
        screen.item("passed", "nothing lost, no wrong fine")
