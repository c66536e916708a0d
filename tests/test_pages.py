"""README.md and docs/: each link leads somewhere, each command is taken by its real parser, each sum is right."""

import argparse
import os
import re
import shlex
import subprocess
import sys
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import bench.__main__
import demo.command
import engines.__main__
import generator.cli
import localcloud.__main__
from pipeline import options
from pipeline.enforcement import contradictions, messages, records, sections
from pipeline.jobs import JOBS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
OTHERS = ("generator", "generator score", "localcloud", "demo", "bench", "engines")
GCLOUDS = {"--update", "--disable-public-ips", "--subnetwork", "--transform-name-mappings"}
FOLDERS = "pipeline|generator|localcloud|demo|bench|engines|releases|templates|terraform|tests|docs"
of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


class _Built(Exception):
    """A parser that is complete."""


def parser_of(name, monkeypatch):
    """The parser of a program other than the pipeline, as its main builds it; nothing starts."""

    def stop(parser, *_):
        raise _Built(parser)

    starts = {
        "generator": lambda: generator.cli.main([]),
        "generator score": lambda: generator.cli.main(["score"]),
        "localcloud": lambda: localcloud.__main__.main([]),
        "demo": lambda: demo.command.parse([]),
        "bench": bench.__main__.main,
        "engines": engines.__main__.main,
    }
    with monkeypatch.context() as patched:
        patched.setattr(argparse.ArgumentParser, "parse_args", stop)
        patched.setattr("sys.argv", [name])
        with pytest.raises(_Built) as built:
            starts[name]()
    return built.value.args[0]


def taken(program, words, monkeypatch):
    """Let the program's own parser read the words. Raises OptionError or SystemExit for a mistake."""
    if program != "pipeline":
        parser_of(program, monkeypatch).parse_args(words)
    elif words and words[0] in JOBS:
        JOBS[words[0]].parser().parse(words[1:])
    else:
        options.parse(words)


def options_of(program, words, monkeypatch):
    """The names that it allows, written out."""
    if program != "pipeline":
        return names_of(parser_of(program, monkeypatch))
    return names_of(JOBS[words[0] if words and words[0] in JOBS else "section-speed"].parser()) | beams()


def names_of(parser):
    return {name for action in parser._actions for name in action.option_strings}


def beams():
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for known in PipelineOptions.__subclasses__():
        known._add_argparse_args(parser)
    return names_of(parser)


def code_lines(text):
    return [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("    ")]


def code_spans(text):
    """What stands between backticks outside of blocks."""
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def commands(text):
    """(program, words, whether something is left out) of each command line of ours."""
    for line in [*code_lines(text), *code_spans(text)]:
        if found := re.search(r"python -m (pipeline|generator|localcloud|demo|bench|engines)\b(.*)", line):
            rest = re.sub(r"\$\([^)]*\)", "2026-03-02", found[2])
            words = shlex.split(rest, comments=True)
            program = "generator score" if (found[1], *words[:1]) == ("generator", "score") else found[1]
            words = words[1:] if program == "generator score" else words
            yield program, [word for word in words if word != "..."], "..." in words


def anchors(text):
    """As GitHub names headings."""
    headings = [line.lstrip("#").strip() for line in text.splitlines() if re.match(r"#+ ", line)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@of_each_page
def test_each_link_leads_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@of_each_page
def test_each_command_is_taken(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("day.ndjson", "sections.yaml"):  # engines looks whether its files exist
        (tmp_path / name).touch()
    for program, words, shortened in commands(TEXTS[page]):
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= options_of(program, words, monkeypatch) | {"--help"}, words  # parsers take --fault for --faults
        if not (shortened or "--help" in words):
            taken(program, words, monkeypatch)


def test_commands_are_found():
    found = [(program, *words[:1]) for text in TEXTS.values() for program, words, _ in commands(text)]
    assert {program for program, *_ in found} == {"pipeline", *OTHERS} - {"demo"}
    assert {("pipeline", job) for job in JOBS if job != "section-speed"} <= set(found)


def test_each_option_that_is_named_exists(monkeypatch):
    known = GCLOUDS | beams() | {"--help"}
    known |= {name for job in JOBS.values() for name in names_of(job.parser())}
    known |= {name for program in OTHERS for name in names_of(parser_of(program, monkeypatch))}
    named = {
        (page.name, name)
        for page, text in TEXTS.items()
        for span in code_spans(text)
        if not span.startswith("gcloud ")
        for name in re.findall(r"(?<!\S)--[a-z][\w-]*", span)
    }
    assert ("packets.md", "--write_heads") in named
    assert {found for found in named if found[1] not in known} == set()


@of_each_page
def test_each_target_of_make_and_each_file_that_is_named_exists(page):
    lines = [line.strip() for line in [*code_lines(TEXTS[page]), *code_spans(TEXTS[page])]]
    targets = {found[1] for line in lines if (found := re.match(r"make ([a-z-]+)", line))}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    files = {line for line in code_spans(TEXTS[page]) if re.fullmatch(rf"(?:{FOLDERS})/[\w./-]*", line)}
    assert {file for file in files if not (ROOT / file).exists()} == set()


@of_each_page
def test_page_begins_with_what_it_is_for(page):
    title, first = TEXTS[page].split("\n\n")[:2]
    assert re.fullmatch(r"# [^\n]+", title)
    assert page.name == "CONTRIBUTING.md" or re.match(r"[A-Z]", first)


def test_readme_names_each_page_and_stays_short():
    reading = TEXTS[README].split("## Further reading")[1].split("\n## ")[0]
    rows = re.findall(r"^\| \[[^\]]+\]\(([^)]+)\) \| \S.*\|$", reading, re.MULTILINE)
    assert sorted(rows) == sorted(str(page.relative_to(ROOT)) for page in PAGES if page != README)
    assert len(TEXTS[README].splitlines()) <= 330


def test_each_picture_is_shown():
    shown = {Path(name).name for text in TEXTS.values() for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)}
    assert shown == {path.name for path in (ROOT / "docs").iterdir() if path.suffix in {".svg", ".png"}}


def explained(text):
    """The names in the first cells of tables."""
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_each_field_is_explained():
    page = TEXTS[ROOT / "docs/messages.md"]
    before, fines = re.split(r"^## Outputs|^### Alarms", page, flags=re.MULTILINE)[:2]
    assert explained(before) == {*messages.Wire.__struct_fields__, contradictions.COLOUR, contradictions.MAKE}
    assert explained(fines) == set(records.Fine.__struct_fields__)
    of_file = TEXTS[ROOT / "docs/sections.md"].split("## What is proven")[0]
    assert explained(of_file) == sections.KEYS | set(sections.Camera.__struct_fields__)


# --- figures


def cut(value: Decimal, like: str) -> Decimal:
    """Cut behind as many decimals as are shown, in the driver's favour."""
    return value.quantize(Decimal(like), ROUND_DOWN)


def sums(text):
    """(what is computed, what is shown) of each sum that a page writes out."""
    text = " ".join(text.split())
    number = r"(\d+(?:\.\d+)?)"
    for length, time, shown in re.findall(rf"{number} m ÷ {number} s × 3\.6 = {number} km/h", text):
        yield cut(Decimal(length) / Decimal(time) * Decimal("3.6"), shown), Decimal(shown)
    for one, other, shown in re.findall(rf"{number} − {number} = {number} km/h", text):
        yield cut(Decimal(one) - Decimal(other), shown), Decimal(shown)
    for length, less, time, more, shown in re.findall(
        rf"\({number} - {number}\) m / \({number} \+ {number}\) s = {number} km/h", text
    ):
        yield (
            cut((Decimal(length) - Decimal(less)) / (Decimal(time) + Decimal(more)) * Decimal("3.6"), shown),
            Decimal(shown),
        )
    for last, first, shown in re.findall(r"(\d\d:\d\d:\d\d\.\d+) − (\d\d:\d\d:\d\d\.\d+) = ([\d.]+) s", text):
        took = datetime.strptime(last, "%H:%M:%S.%f") - datetime.strptime(first, "%H:%M:%S.%f")
        yield Decimal(str(took.total_seconds())), Decimal(shown)


@pytest.mark.parametrize(("page", "least"), [("deciding.md", 7), ("sections.md", 1)])
def test_sums_are_right(page, least):
    found = list(sums(TEXTS[ROOT / "docs" / page]))
    assert len(found) >= least
    assert [computed for computed, _ in found] == [shown for _, shown in found]


def rows_of(path):
    rows = re.findall(r"^\| (.+) \|$", TEXTS[path], re.MULTILINE)
    return {cells[0]: cells[1:3] for row in rows if len(cells := row.split(" | ")) >= 3}


def test_readme_repeats_figures_as_their_pages_have_them():
    speeds = TEXTS[README].split("## How fast")[1].split("\n\n")[2]
    shown = [row.strip("| ").split(" | ") for row in speeds.splitlines()[2:]]
    measured = rows_of(ROOT / "docs/benchmarks.md")
    assert len(shown) > 5
    assert all(measured[name] == figures for name, *figures in shown)
    dollars = re.findall(r"\$ (\d+\.\d+)", TEXTS[README])
    (billed,) = re.findall(r"\*\*\$ for a million sightings\*\* \| (.+) \|", TEXTS[ROOT / "docs/cost.md"])
    assert dollars == billed.split(" | ")[: len(dollars)] != []


# --- samples


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs command lines of pages, with a folder of its own for out/ and a secret of its own; what they print."""
    folder = tmp_path_factory.mktemp("out")
    environment = os.environ | {"SECTION_SPEED_PRIVACY_SECRET": "5" * 64}

    def run_command(program, words):
        words = [re.sub(r"^out/", f"{folder}/", word) for word in words]
        command = [sys.executable, "-m", *program.split(), *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    from_files = TEXTS[README].split("### From files")[1].split("###")[0]
    for program, words, _ in commands(from_files):
        if program in ("generator", "pipeline"):
            run_command(program, words)
    return run_command


@pytest.mark.parametrize(("job", "least"), [("recall", 6), ("what-if", 8)])
def test_sample_is_what_the_command_prints(run, job, least):
    page = TEXTS[ROOT / "docs/recall.md"]
    printed = run(*next((program, words) for program, words, _ in commands(page) if words[:1] == [job]))
    block = re.search(rf"-m pipeline {job}.*?ends with\n\n(.*?)\n\n", page, re.DOTALL)[1]
    shown = [without_ids(line.strip()) for line in block.splitlines() if line.strip() != "..."]
    assert len(shown) >= least
    assert shown == [without_ids(line.strip()) for line in printed.splitlines()][-len(shown) :]


def without_ids(line):
    """Ids are made under a secret."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", line)
