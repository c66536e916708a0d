"""Rules of the house that a reader would otherwise have to check by hand."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest

from pipeline import options, secret
from pipeline.jobs import JOBS, section_speed

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
DOMAIN = sorted((PIPELINE / "enforcement").glob("*.py"))
OWN_CODE = [
    path
    for folder in ("pipeline", "generator", "localcloud", "demo", "engines", "bench")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
# What the pure domain may use: values in, values out.
DOMAIN_MAY_IMPORT = {
    "__future__",
    "base64",
    "bisect",
    "collections",
    "datetime",
    "difflib",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "html",
    "itertools",
    "json",
    "math",
    "msgspec",
    "numpy",
    "operator",
    "pipeline",
    "re",
    "types",
    "typing",
    "unicodedata",
    "uuid",
    "yaml",
    "zlib",
    "zoneinfo",  # the clocks of all places: a table, though it is read from files
}
IMPURE_CALLS = {"now", "utcnow", "today", "getenv", "urandom", "uuid1", "uuid4", "open", "input", "print"}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, by their full names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def calls(path: Path) -> set[str]:
    """The last names of everything that a file calls: now of datetime.now()."""
    found = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {getattr(function, "attr", getattr(function, "id", "")) for function in found}


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: path.name)
def test_domain_imports_neither_engine_nor_cloud_nor_clock(path):
    assert {name.split(".")[0] for name in imports(path)} <= DOMAIN_MAY_IMPORT


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: path.name)
def test_domain_imports_nothing_of_the_pipeline_but_itself(path):
    assert all(name.startswith("pipeline.enforcement") for name in imports(path) if name.startswith("pipeline"))


@pytest.mark.parametrize("path", DOMAIN, ids=lambda path: path.name)
def test_domain_asks_neither_clock_nor_chance_nor_environment(path):
    assert not calls(path) & IMPURE_CALLS


def test_beam_is_used_by_the_engine_side_alone():
    users = {
        path.relative_to(PIPELINE).parts[0]
        for path in PIPELINE.rglob("*.py")
        if any(name.startswith("apache_beam") for name in imports(path))
    }
    assert users <= {
        "transforms",
        "jobs",
        "bounded_runner.py",
        "conservation.py",
        "earlier_results.py",
        "dataflow.py",
        "job_server.py",
        "local_reader.py",
        "local_runner.py",
        "local_sessions.py",
        "local_threads.py",
        "options.py",
        "policies.py",
        "running.py",
        "secret.py",
        "stored_records.py",
    }


def test_run_that_reads_no_plates_and_makes_no_packets_imports_neither_reader_nor_printer():
    code = "import sys, pipeline.jobs.section_speed; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    imported = set(found.stdout.split())
    assert {"pipeline.endpoints", "pipeline.transforms.pictures", "apache_beam"} <= imported
    assert not [name for name in imported if name.startswith(("google.cloud.vision", "reportlab"))]


def test_addresses_of_services_are_known_in_one_module():
    users = {
        str(path.relative_to(PIPELINE))
        for path in PIPELINE.rglob("*.py")
        if re.search(r"_EMULATOR_HOST|AnonymousCredentials", path.read_text(encoding="utf-8"))
    }
    assert users == {"endpoints.py"}


@pytest.mark.parametrize("path", OWN_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_four_hundred_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_entry_point_is_short():
    assert len((PIPELINE / "__main__.py").read_text(encoding="utf-8").splitlines()) <= 15


def test_every_job_is_named_and_exists():
    files = {path.stem for path in (PIPELINE / "jobs").glob("*.py")} - {"__init__"}
    assert {module.rpartition(".")[2] for module, _ in JOBS.values()} == files
    assert next(iter(JOBS)) == "section-speed"


def test_every_module_says_what_it_is_for():
    without = [
        str(path.relative_to(ROOT))
        for path in OWN_CODE
        if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert without == []


# --- the two graphs


def steps(*argv: str) -> set[str]:
    """The names of the outermost steps of the graph that a command line makes."""
    return {label for label in labels(*argv) if "/" not in label}


def labels(*argv: str) -> set[str]:
    found = options.parse(argv)
    pipeline = beam.Pipeline(options=found)
    section_speed.build(pipeline, options.check(found))
    visited: set[str] = set()

    class Visitor(beam.pipeline.PipelineVisitor):
        def enter_composite_transform(self, node):
            visited.add(node.full_label)

        def visit_transform(self, node):
            visited.add(node.full_label)

    pipeline.visit(Visitor())
    return visited - {""}


@pytest.fixture
def bounded(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    (tmp_path / "in.ndjson").write_text("")
    return (
        f"--input={tmp_path}/in.ndjson",
        f"--output_dir={tmp_path}/out",
        "--radar_id=M30",
        "--evidence_bucket=evidence",
    )


STREAMING = (
    "--input_subscription=sights",
    "--output_topic=fines",
    "--radar_id=M30",
    "--project_id=project-1",
    "--streaming",
)


def test_bounded_and_streaming_graphs_have_the_same_steps(bounded):
    assert steps(*bounded) == steps(*STREAMING)


def test_graphs_differ_in_source_grouping_revisions_and_sink_alone(bounded):
    differing = {label.split("/")[0] for label in labels(*bounded) ^ labels(*STREAMING, "--dataset=d")}
    assert differing <= {"Read messages", "Group sessions", "Measure passages", "Compare twins", "Write outputs"}


def test_steps_are_named_as_acts():
    assert all(re.fullmatch(r"[A-Z][a-z]+( [a-z]+)*", step) for step in steps(*STREAMING))


def test_without_ocr_no_plate_is_read(bounded):
    assert steps(*bounded) - steps(*bounded, "--ocr=none") == {"Read plates"}
