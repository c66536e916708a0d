"""The page to look at: one file, nothing fetched, no script. Whatever comes from data is escaped."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from demo import wording
from demo.cases import Cards
from demo.findings import Findings
from demo.flow import flow
from demo.histogram import caption, histogram
from demo.ledger import Summary
from demo.thumbnails import Thumbnails
from demo.warehouse import RejectedObject
from generator.score import Verdict
from pipeline.enforcement.model import Outcome, Status
from pipeline.enforcement.records import Fine
from pipeline.enforcement.sections import Section

SHOWN_BYTES = 160
SHOWN_REJECTED = 100


def write_report(path: Path, findings: Findings) -> None:
    """Write the page."""
    path.write_text(page(findings), encoding="utf-8")


def page(findings: Findings) -> str:
    """The whole page as HTML."""
    css = resources.files("demo").joinpath("report.css").read_text(encoding="utf-8")
    cards = Cards({s.section_id: s for s in findings.sections}, findings.picture, Thumbnails())
    parts = [
        _head(findings.summary),
        _flow(findings.summary),
        _speeds(findings),
        _fines(findings, cards),
        _reviews(findings, cards),
        _withdrawn(findings, cards),
        _rejected(findings.rejected),
        _foot(findings),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(headline(findings.summary))}</title><style>{css}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def headline(summary: Summary) -> str:
    """The run in one sentence."""
    fines = wording.count(summary.fines, "fine")
    if summary.wrong:
        return f"{summary.wrong:,} of {fines} {'is' if summary.wrong == 1 else 'are'} wrong."
    if summary.failures:
        return f"{fines}, but the books do not balance."
    if not summary.fines:
        return "No fines, and nothing lost."
    return f"{fines}. {'Not wrong' if summary.fines == 1 else 'None of them wrong'}."


def _head(summary: Summary) -> str:
    failures = "".join(f'<p class="failure">{escape(failure)}</p>' for failure in summary.failures)
    vehicles = wording.count(summary.vehicles, "vehicle")
    lost = "" if summary.failures else " Every sighting is accounted for, every passage is decided."
    return (
        f'<p class="kicker">Section speed · demonstration · seed {summary.seed}</p><h1>{escape(headline(summary))}</h1>'
        f'<p class="lead"><b>{vehicles}</b> passed simulated cameras, which saw them <b>{summary.sightings_in:,}</b> '
        f"times.{lost} The simulator knows what truly happened; these fines were compared with it.</p>"
        f'{failures}<dl class="scores">{"".join(_scores(summary))}</dl>'
    )


def _scores(summary: Summary) -> Iterator[str]:
    bad = ' class="bad"' if summary.wrong else ""
    first = "none" if summary.seconds_to_first_fine is None else f"{summary.seconds_to_first_fine:.0f} <small>s</small>"
    violations = f"<small>of {summary.violations:,} violations</small>"
    yield f"<div><dt>right fines</dt><dd>{summary.right:,} {violations}</dd></div>"
    yield f"<div><dt>wrong fines</dt><dd{bad}>{summary.wrong:,}</dd></div>"
    yield f"<div><dt>violations missed</dt><dd>{summary.missed:,}</dd></div>"
    yield f"<div><dt>for a person</dt><dd>{summary.reviews:,}</dd></div>"
    yield f"<div><dt>until the first fine</dt><dd>{first}</dd></div>"


def _flow(summary: Summary) -> str:
    return (
        f'<h2>Where everything went</h2><figure class="wide">{flow(summary)}</figure>'
        f'<p class="aside">Sightings: {summary.sightings_line}.<br>Passages: {summary.passages_line}. '
        "A sighting counts in each section that its camera belongs to.</p>"
    )


def _speeds(findings: Findings) -> str:
    shown = (Outcome.CLEAR, Outcome.FINED, Outcome.REVIEW)
    key = "".join(
        f'<li><i style="background:var(--{outcome})"></i>{wording.OUTCOMES[outcome]}</li>' for outcome in shown
    )
    figures = "".join(_section_figure(section, findings) for section in findings.sections)
    return f'<h2>Average speeds against the limit</h2><ul class="key">{key}</ul><div class="sections">{figures}</div>'


def _section_figure(section: Section, findings: Findings) -> str:
    passages = [passage for passage in findings.passages if passage.section_id == section.section_id]
    length = f" · {section.distance_m:,.1f} m" if section.length_m else ""
    return (
        f"<figure><h3>{escape(section.name or section.section_id)}</h3>{histogram(passages, section.limit_kmh)}"
        f"<figcaption>{caption(passages)}{length}</figcaption></figure>"
    )


def _cards(title: str, words: str, fines: Iterable[Fine], cards: Cards) -> str:
    drawn = "".join(cards.card(fine) for fine in fines)
    return f'<h2>{title}</h2><p class="aside">{words}</p><div class="cases">{drawn}</div>' if drawn else ""


def _of(findings: Findings, status: Status) -> list[Fine]:
    return [fine for fine in findings.fines if fine.status is status]


def _fines(findings: Findings, cards: Cards) -> str:
    words = (
        "Each rests on the surveyed length of the section and the time between two sightings. One picture at least "
        "confirms the plate that the camera read, and nothing contradicts it."
    )
    wrong = "".join(
        f'<p class="failure">{finding.verdict}: {escape(finding.vehicle_id)} in {escape(finding.section_id)}: '
        f"{escape(finding.explanation)}</p>"
        for finding in findings.verdicts
        if finding.verdict in (Verdict.WRONG, Verdict.MISSED)
    )
    fines = _of(findings, Status.ISSUED)
    if not fines:
        return f'<h2>Fines</h2><p class="aside">None was issued.</p>{wrong}'
    return _cards(wording.count(len(fines), "fine"), words, fines, cards).replace(
        '<div class="cases">', f'{wrong}<div class="cases">', 1
    )


def _reviews(findings: Findings, cards: Cards) -> str:
    guilty = sum(finding.verdict is Verdict.REVIEW_OF_VIOLATION for finding in findings.verdicts)
    words = (
        "Over the limit by the numbers, but something is in doubt, so nobody is fined until a person has looked. "
        f"Truly over the limit: {guilty} of these."
    )
    return _cards("For a person to decide", words, _of(findings, Status.REVIEW), cards)


def _withdrawn(findings: Findings, cards: Cards) -> str:
    words = "Suspected at first; a sighting that came late showed otherwise."
    return _cards("Taken back", words, _of(findings, Status.WITHDRAWN), cards)


def _rejected(rejected: Sequence[RejectedObject]) -> str:
    if not rejected:
        return '<h2>Rejected</h2><p class="aside">Every object that came was a sighting.</p>'
    rows = "".join(_rejected_row(found) for found in rejected[:SHOWN_REJECTED])
    more = len(rejected) - SHOWN_REJECTED
    rest = f'<p class="aside">and {more:,} more in the table rejected</p>' if more > 0 else ""
    words = "Not usable, but not lost: the original bytes are kept, and can be sent again after a fix."
    head = "<thead><tr><th>Why</th><th>What came</th></tr></thead>"
    return (
        f'<h2>Rejected</h2><p class="aside">{words}</p>'
        f'<div class="table"><table>{head}<tbody>{rows}</tbody></table></div>{rest}'
    )


def _rejected_row(found: RejectedObject) -> str:
    payload = base64.b64decode(found.payload)
    shown = payload[:SHOWN_BYTES].decode("utf-8", "replace") + ("…" if len(payload) > SHOWN_BYTES else "")
    reason = found.reason.replace("_", " ")
    why = f"<b>{escape(reason)}</b><br>{escape(found.error)}"
    return f'<tr><td>{why}</td><td class="mono">{escape(shown)}</td></tr>'


def _foot(findings: Findings) -> str:
    summary = findings.summary
    return (
        f"<footer><p>Services up after {summary.seconds_to_services_up:.1f} s, the whole run took "
        f"{summary.seconds:.0f} s. The figures are in summary.json, the fines as they were published in fines.ndjson, "
        f"the truth in truth.ndjson, all in {escape(str(findings.folder))}. Vehicles, plates and pictures are drawn by "
        "the simulator.</p></footer>"
    )
