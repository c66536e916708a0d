"""Plates: one spelling, the layouts each state issues, finding the plate among the texts of a picture, and agreement.

Doubt never makes a fine: what is not surely the plate comes back as unrecognised or ambiguous, and a repair follows
the state's layout alone, so it cannot bend a reading towards the plate somebody expects.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

import msgspec

NOT_RECOGNIZED = "not recognized"
NO_TEXTS = "no texts found"

# Serials now issued to passenger cars, then other common ones: L a letter, D a digit. Sources: Wikipedia, "United
# States license plate designs and serial formats"; the patterns file us.patterns of OpenALPR. Layouts of digits only
# (DE, NH) and the short ones of small states (VT, DC) are left out on purpose: without a known state they would
# pass phone numbers and clipped readings as plates.
LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "US-CA": ("DLLLDDD", "DLDDDDD"),
    "US-CT": ("LLDDDDD",),
    "US-FL": ("LLLLDD", "LDDDLL"),
    "US-GA": ("LLLDDDD",),
    "US-IL": ("LLDDDDD",),
    "US-MA": ("DLLLDD", "DLLDDD", "DDDLLD"),
    "US-MD": ("DLLDDDD",),
    "US-MI": ("LLLDDDD",),
    "US-NC": ("LLLDDDD",),
    "US-NJ": ("LDDLLL",),
    "US-NY": ("LLLDDDD", "DDDDDLL", "LDDDDDDL"),
    "US-OH": ("LLLDDDD",),
    "US-PA": ("LLLDDDD",),
    "US-TX": ("LLLDDDD",),
    "US-VA": ("LLLDDDD",),
    "US-WA": ("LLLDDDD",),
}
ALL_LAYOUTS = tuple(sorted({layout for layouts in LAYOUTS.values() for layout in layouts}))
STATE_NAMES: Mapping[str, str] = {
    "CALIFORNIA": "US-CA",
    "CONNECTICUT": "US-CT",
    "FLORIDA": "US-FL",
    "GEORGIA": "US-GA",
    "ILLINOIS": "US-IL",
    "MASSACHUSETTS": "US-MA",
    "MARYLAND": "US-MD",
    "MICHIGAN": "US-MI",
    "NORTHCAROLINA": "US-NC",
    "NEWJERSEY": "US-NJ",
    "NEWYORK": "US-NY",
    "OHIO": "US-OH",
    "PENNSYLVANIA": "US-PA",
    "TEXAS": "US-TX",
    "VIRGINIA": "US-VA",
    "WASHINGTON": "US-WA",
}

# A zero where a letter belongs may be O, D or Q, so it has no repair.
DIGIT_LIKE = {"O": "0", "Q": "0", "D": "0", "I": "1", "Z": "2", "S": "5", "G": "6", "B": "8"}
LETTER_LIKE = {"1": "I", "2": "Z", "5": "S", "6": "G", "8": "B"}
MAX_REPAIRS = 2

# Few states issue these letters, and a reader takes 1 and 0 for them: a reading that has one does not stand alone.
SELDOM_ISSUED = frozenset("IOQ")

MIN_CONFIDENCE_CLAIMED = 0.5  # two independent readings that agree need little more
MIN_CONFIDENCE_ALONE = 0.85

# Words painted on vehicles in front of numbers: BUS 4512 has the form of a plate. The few plates that begin with one
# go to review.
LABELS = frozenset({"BUS", "CAM", "CALL", "DOT", "EST", "FAX", "MC", "NO", "SINCE", "TEL", "USDOT"})
DATE = re.compile(r"\b(19|20)\d\d[-./ ]?[01]\d[-./ ]?[0-3]\d")
TIME = re.compile(r"(?<!\d)[0-2]?\d[:;][0-5]\d([:;.][0-5]\d)?")
PHONE = re.compile(r"(?<!\d)\(?\d{3}\)?[-. ]{0,2}\d{3}[-. ]{1,2}\d{4}(?!\d)")
SHAPE = re.compile(r"(?=.*[A-Z])(?=.*[0-9])[A-Z0-9]{5,8}")

MAX_GAP_HEIGHTS = 1.3
MAX_HEIGHT_RATIO = 1.6
MIN_OVERLAP = 0.5
# Text this much taller than any other candidate is the plate: badges and phone numbers are smaller.
DOMINANT_HEIGHT_RATIO = 1.5
STATE_NAME_WITHIN_HEIGHTS = 2.5


class TextBox(msgspec.Struct, frozen=True):
    """A word or line of text found in a picture, and its upright box in pixels of that picture.

    confidence: 0-1, or None where the reader states none (Google Vision's TEXT_DETECTION words).
    """

    text: str
    confidence: float | None
    x: float
    y: float
    width: float
    height: float

    @classmethod
    def of_polygon(cls, text: str, confidence: float | None, corners: Iterable[Sequence[float]]) -> TextBox:
        """The box around corners [(x, y), ...] in pixels. Raises ValueError when there are none."""
        points = [(float(x), float(y)) for x, y in corners]
        if not points:
            raise ValueError(f"the box of text {text!r} has no corners; give at least one (x, y)")
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(text, confidence, min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))

    @property
    def right(self) -> float:
        """x of the right edge, pixels."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """y of the lower edge, pixels."""
        return self.y + self.height


class PlateText(msgspec.Struct, frozen=True):
    """What the texts of one picture say about the plate.

    text: the plate in one spelling, or NOT_RECOGNIZED (texts, but no one plate), or NO_TEXTS.
    raw: the words as they were read. rivals: the different plates among which there is no sure choice; where one
    is a part of another, text is the likeliest of them, else NOT_RECOGNIZED.
    known_layout: the text has a layout of its region (of any known region where none was given).
    """

    text: str
    confidence: float | None = None
    raw: str = ""
    box: TextBox | None = None
    known_layout: bool = False
    rivals: tuple[str, ...] = ()

    @property
    def is_plate(self) -> bool:
        """Whether one plate was found."""
        return self.box is not None


class Agreement(StrEnum):
    """Whether a picture confirms the plate of its sighting."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNREADABLE = "unreadable"


class Verdict(msgspec.Struct, frozen=True):
    """An agreement, and unless it AGREES its reason: plate_disagrees, no_text, no_plate_text, ambiguous_text,
    low_confidence or unknown_layout."""

    agreement: Agreement
    reason: str | None = None


class _Candidate(msgspec.Struct, frozen=True):
    text: str
    box: TextBox
    known_layout: bool
    words: tuple[TextBox, ...]
    is_label: bool


@lru_cache(maxsize=16_384)  # one case asks for the same few plates again and again
def normalise(text: str) -> str:
    """The one spelling of a plate: upper case, accents and width folded, nothing but A-Z and 0-9."""
    folded = unicodedata.normalize("NFKD", text).upper()
    return re.sub(r"[^A-Z0-9]", "", unicodedata.normalize("NFKD", folded))


def layouts_of(region: str | None) -> tuple[str, ...]:
    """The layouts of a region (ISO 3166-2); without one every known layout; of an unlisted one, none."""
    return ALL_LAYOUTS if region is None else LAYOUTS.get(region, ())


def has_layout(text: str, layouts: Iterable[str]) -> bool:
    """Whether a normalised text has one of the layouts."""
    return any(_fits(text, layout) for layout in layouts)


def repair(text: str, layouts: Iterable[str]) -> str:
    """A normalised text with S/5, O/0, D/0, I/1, B/8, Z/2, G/6 set right where the layouts leave one choice only.

    Unchanged when it has a layout already, be it of another region (AAG0000 of Georgia is not AA60000 of Connecticut),
    when no layout or several different results are possible, when more than MAX_REPAIRS characters would change, or
    when it has no letter or no digit to begin with.
    """
    layouts = tuple(layouts)
    if has_layout(text, (*layouts, *ALL_LAYOUTS)) or text.isdigit() or text.isalpha():
        return text
    results = {fixed for layout in layouts if (fixed := _bend(text, layout))}
    return results.pop() if len(results) == 1 else text


def same_plate(one: str, other: str, region: str | None) -> bool:
    """Whether two plates of a region are one, whatever their spelling.

    Two plates that both have a known layout, of whatever region, are one only if they are equal in every character.
    """
    layouts = layouts_of(region)
    first, second = (repair(normalise(plate), layouts) for plate in (one, other))
    return first == second != ""


def read_plate(boxes: Sequence[TextBox], *, region: str | None = None) -> PlateText:
    """Find the plate among the texts of one picture.

    region: the plate's state (ISO 3166-2, US-NY) if it is known; else a state's name beside the plate tells it, and
    without that the text must have a layout of some known state.
    """
    words = sorted((word for box in boxes for word in _words(box)), key=lambda word: (word.x, word.y, word.text))
    if not words:
        return PlateText(NO_TEXTS)
    lines = [line for line in _lines(words) if not _is_clock(line)]
    candidates = [found for run in _runs(lines) if (found := _candidate(run, region, boxes))]
    return _choose(_prefer_whole([found for found in candidates if not found.is_label]), candidates)


def agree(read: PlateText, claimed: str | None, region: str | None = None) -> Verdict:
    """Whether the read plate is the sighting's own plate; with no claim, whether it may stand alone.

    A reading without a stated confidence is taken as the reader's yes. One without a known layout agrees with an equal
    claim (personalised plates), and never stands alone. One with rivals confirms nothing: it can only contradict.
    """
    if not read.is_plate:
        return Verdict(Agreement.UNREADABLE, _why_unreadable(read))
    sure = 1.0 if read.confidence is None else read.confidence
    if claimed is None or not normalise(claimed):
        return _stands_alone(read, sure)
    if not any(same_plate(text, claimed, region) for text in {read.text, *read.rivals}):
        return Verdict(Agreement.DISAGREES, "plate_disagrees")
    if read.rivals:
        return Verdict(Agreement.UNREADABLE, "ambiguous_text")
    if sure < MIN_CONFIDENCE_CLAIMED:
        return Verdict(Agreement.UNREADABLE, "low_confidence")
    return Verdict(Agreement.AGREES)


def _stands_alone(read: PlateText, sure: float) -> Verdict:
    if not read.known_layout:
        return Verdict(Agreement.UNREADABLE, "unknown_layout")
    if read.rivals or set(read.text) & SELDOM_ISSUED:
        return Verdict(Agreement.UNREADABLE, "ambiguous_text")
    if sure < MIN_CONFIDENCE_ALONE:
        return Verdict(Agreement.UNREADABLE, "low_confidence")
    return Verdict(Agreement.AGREES)


def _why_unreadable(read: PlateText) -> str:
    if read.rivals:
        return "ambiguous_text"
    return "no_text" if read.text == NO_TEXTS else "no_plate_text"


def _fits(text: str, layout: str) -> bool:
    return len(text) == len(layout) and all(
        character.isdigit() == (kind == "D") for character, kind in zip(text, layout, strict=True)
    )


def _bend(text: str, layout: str) -> str | None:
    """The text in this layout by confusable characters alone, or None."""
    if len(text) != len(layout):
        return None
    fixed = [
        character
        if character.isdigit() == (kind == "D")
        else (DIGIT_LIKE if kind == "D" else LETTER_LIKE).get(character)
        for character, kind in zip(text, layout, strict=True)
    ]
    changed = sum(new != old for new, old in zip(fixed, text, strict=True))
    return "".join(filter(None, fixed)) if None not in fixed and changed <= MAX_REPAIRS else None


def _words(box: TextBox) -> Iterator[TextBox]:
    """The box cut at its spaces, each word with its share of the width."""
    per_character = box.width / max(len(box.text), 1)
    for match in re.finditer(r"\S+", box.text):
        if normalise(match.group()):
            x, width = box.x + match.start() * per_character, len(match.group()) * per_character
            yield TextBox(match.group(), box.confidence, x, box.y, width, box.height)


def _lines(words: Sequence[TextBox]) -> list[list[TextBox]]:
    """Words given from left to right, gathered into lines of like height."""
    lines: list[list[TextBox]] = []
    for word in words:
        line = next((line for line in lines if _on_line(line[-1], word)), None)
        if line is None:
            lines.append([word])
        else:
            line.append(word)
    return lines


def _on_line(left: TextBox, right: TextBox) -> bool:
    overlap = min(left.bottom, right.bottom) - max(left.y, right.y)
    low, high = sorted((left.height, right.height))
    beside = right.x >= left.x + 0.5 * left.width
    return beside and low > 0 and overlap >= MIN_OVERLAP * low and high <= MAX_HEIGHT_RATIO * low


def _is_clock(line: Sequence[TextBox]) -> bool:
    text = " ".join(word.text for word in line)
    return bool(DATE.search(text) or TIME.search(text))


def _runs(lines: Iterable[Sequence[TextBox]]) -> Iterator[Sequence[TextBox]]:
    """Every row of neighbouring words on a line that may be one plate; a plate has three groups at most."""
    for line in lines:
        ends = [-1, *(i for i, (a, b) in enumerate(pairwise(line)) if not _adjoin(a, b)), len(line) - 1]
        for start, end in pairwise(ends):
            block = line[start + 1 : end + 1]
            for first in range(len(block)):
                yield from (block[first : last + 1] for last in range(first, min(first + 3, len(block))))


def _adjoin(left: TextBox, right: TextBox) -> bool:
    return right.x - left.right <= MAX_GAP_HEIGHTS * max(left.height, right.height)


def _candidate(run: Sequence[TextBox], region: str | None, boxes: Sequence[TextBox]) -> _Candidate | None:
    """The run as a plate, or None when it has not the form of one."""
    raw = " ".join(word.text for word in run)
    if PHONE.search(raw):
        return None
    box = _around(run, raw)
    layouts = layouts_of(region or _state_beside(box, boxes))
    text = repair(normalise(raw), layouts)
    known = has_layout(text, layouts)
    is_label = re.split(r"[0-9]", normalise(raw), maxsplit=1)[0] in LABELS
    return _Candidate(text, box, known, tuple(run), is_label) if known or SHAPE.fullmatch(text) else None


def _around(run: Sequence[TextBox], raw: str) -> TextBox:
    """One box around the words; as sure as the least sure of them."""
    sure = [word.confidence for word in run if word.confidence is not None]
    x, y = min(word.x for word in run), min(word.y for word in run)
    right, bottom = max(word.right for word in run), max(word.bottom for word in run)
    return TextBox(raw, min(sure, default=None), x, y, right - x, bottom - y)


def _state_beside(plate: TextBox, boxes: Iterable[TextBox]) -> str | None:
    """The state named right above or below, unless two different ones are."""
    named = {region for box in boxes if _stacked(plate, box) and (region := _state_named(box.text))}
    return named.pop() if len(named) == 1 else None


def _state_named(text: str) -> str | None:
    words = normalise(text)
    spelt = next((name for name in STATE_NAMES if words.startswith(name)), None)
    close = [spelt] if spelt else get_close_matches(words, STATE_NAMES, n=1, cutoff=0.85)
    return STATE_NAMES[close[0]] if close else None


def _stacked(plate: TextBox, other: TextBox) -> bool:
    apart = max(plate.y - other.bottom, other.y - plate.bottom)
    overlap = min(plate.right, other.right) - max(plate.x, other.x)
    return apart < STATE_NAME_WITHIN_HEIGHTS * plate.height and overlap > 0 and other.width <= 1.5 * plate.width


def _prefer_whole(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Candidates with a known layout if there are any, without those that are a part of another."""
    known = [candidate for candidate in candidates if candidate.known_layout] or candidates
    return [one for one in known if not any(_part_of(one.box, other.box) for other in known)]


def _part_of(one: TextBox, other: TextBox) -> bool:
    inside = other.x <= one.x and one.right <= other.right and other.y <= one.y and one.bottom <= other.bottom
    return inside and len(one.text) < len(other.text)


def _choose(candidates: Sequence[_Candidate], plate_shaped: Sequence[_Candidate]) -> PlateText:
    """The one plate among the candidates, with what else on its line it may be."""
    if not candidates:
        return PlateText(NOT_RECOGNIZED)
    tallest = max(candidate.box.height for candidate in candidates)
    close = [found for found in candidates if found.box.height * DOMINANT_HEIGHT_RATIO > tallest]
    texts = tuple(sorted({found.text for found in close}))
    if len(texts) > 1:
        return PlateText(NOT_RECOGNIZED, raw=" | ".join(found.box.text for found in close), rivals=texts)
    best = max(close, key=lambda found: (found.box.confidence or 0.0, found.box.text))
    others = {other.text for one in close for other in plate_shaped if _competes(other, one)} - {best.text}
    rivals = tuple(sorted({best.text, *others})) if others else ()
    return PlateText(best.text, best.box.confidence, best.box.text, best.box, best.known_layout, rivals)


def _competes(other: _Candidate, chosen: _Candidate) -> bool:
    """Whether both use a word of the picture, and differ in more than a label painted beside the plate."""
    differing = set(other.words) ^ set(chosen.words)
    shared = set(other.words) & set(chosen.words)
    return bool(shared) and any(normalise(word.text) not in LABELS for word in differing)
