"""The image of launcher and workers, as far as it can be known without building it."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from dockerfile import ROOT, all_of, copied, instructions, variables

from pipeline import __version__

LOCK = ROOT / "templates" / "requirements.txt"
BUILD_LOCK = ROOT / "templates" / "requirements-build.txt"
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+?)(?: ;.*)?(?: \\)?$", re.MULTILINE)


def pinned(path: Path) -> dict[str, str]:
    return dict(PINNED.findall(path.read_text(encoding="utf-8")))


def setup_arguments() -> dict[str, object]:
    call = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body[-1].value
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg != "packages"}


# --- the Dockerfile


def lint(path: Path) -> subprocess.CompletedProcess:
    """By hadolint, which its package puts beside the interpreter."""
    hadolint = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert hadolint, "hadolint is not installed; run make setup"
    return subprocess.run(
        [hadolint, "--no-color", path], capture_output=True, text=True, timeout=60, check=False, cwd=path.parent
    )


def test_linter_finds_nothing():
    found = lint(ROOT / "Dockerfile")
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)


def test_linter_would_find_something(tmp_path):
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM python:latest\nRUN cd /x && pip install beam\n")
    found = lint(bad)
    assert found.returncode == 1
    assert {"DL3007", "DL3042"} <= set(re.findall(r"DL\d+", found.stdout))


def test_one_version_of_beam_everywhere():
    wanted = {found.split("==")[1] for found in setup_arguments()["install_requires"] if "apache-beam" in found}
    images = {text.split()[0] for text in all_of("FROM")}
    assert wanted == {pinned(LOCK)["apache-beam"]} == {pinned(ROOT / "requirements.txt")["apache-beam"]}
    assert wanted == {metadata.version("apache-beam")}
    assert f"apache/beam_python3.11_sdk:{wanted.pop()}" in images


def test_launcher_boot_and_interpreter_are_of_one_python():
    pythons = {re.search(r"python(?::|)3\.?11", text)[0] for text in all_of("FROM")}
    assert {found.replace(":", "").replace(".", "") for found in pythons} == {"python311"}


def test_launcher_is_chosen_in_one_place():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (chosen,) = re.findall(r"^ARG LAUNCHER_TAG=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"[\w.-]+(@sha256:[0-9a-f]{64})?", chosen)
    (line,) = [line for line in text.splitlines() if line.startswith("FROM") and "launcher-base" in line]
    assert "launcher-base:${LAUNCHER_TAG} " in line


def test_launcher_may_be_held_by_its_digest(tmp_path):
    held = tmp_path / "Dockerfile"
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    held.write_text(re.sub("(?m)^ARG LAUNCHER_TAG=.*", f"ARG LAUNCHER_TAG=latest@sha256:{'0' * 64}", text))
    found = lint(held)
    assert (found.stdout + found.stderr, found.returncode) == ("", 0)
    assert any(f"launcher-base:latest@sha256:{'0' * 64} AS launcher" in one.text for one in instructions(held))


def test_version_of_the_image_is_that_of_the_package():
    assert f'org.opencontainers.image.version="{__version__}"' in all_of("LABEL")[0]
    assert setup_arguments()["version"] == __version__


def test_binaries_come_from_their_stages_to_where_dataflow_runs_them():
    launcher = "/opt/google/dataflow/python_template_launcher"
    assert f"--from=launcher {launcher} {launcher}" in all_of("COPY")
    assert any(text.startswith("--from=sdk /opt/apache/beam/boot ") for text in all_of("COPY"))
    assert all_of("ENTRYPOINT") == ['["/opt/apache/beam/boot"]']


def test_file_that_the_launcher_runs_is_the_pipelines_own():
    found = Path(variables()["FLEX_TEMPLATE_PYTHON_PY_FILE"])
    assert found.parent == Path(all_of("WORKDIR")[0])
    assert (["pipeline/__main__.py"], found.name) in copied()


def test_launcher_downloads_nothing():
    """With either variable it would fetch, at each launch, what is installed already."""
    assert not {"FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE", "FLEX_TEMPLATE_PYTHON_SETUP_FILE"} & set(variables())


def test_workers_use_what_is_installed():
    assert variables()["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] == "1"


def test_last_step_of_the_build_checks_that_packages_agree():
    assert all_of("RUN")[-1].endswith("&& pip check")


def test_no_secret_is_set_and_nothing_is_added_from_the_network():
    assert not [name for name in variables() if "SECRET" in name or "KEY" in name or "TOKEN" in name]
    assert not {"ADD", "USER", "VOLUME"} & {name for name, _ in instructions()}


# --- the lock


def test_every_package_has_hashes():
    text = LOCK.read_text(encoding="utf-8") + BUILD_LOCK.read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) == len(pinned(LOCK)) + len(pinned(BUILD_LOCK))
    assert all("--hash=sha256:" in entry for entry in entries)


def test_image_has_the_versions_that_are_tested():
    tested = set(PINNED.findall((ROOT / "requirements.txt").read_text(encoding="utf-8")))
    assert set(PINNED.findall(LOCK.read_text(encoding="utf-8"))) - tested == set()


def test_image_has_what_workers_need_and_nothing_of_the_tests():
    wanted = {re.split(r"[\[=<>]", found)[0] for found in setup_arguments()["install_requires"]}
    extras = {
        re.split(r"[\[=<>]", found)[0].lower()
        for extra in setup_arguments()["extras_require"].values()
        for found in extra
    }
    locked = set(pinned(LOCK))
    assert wanted <= locked
    # What Beam asks for itself.
    assert extras & locked <= {"cryptography", "pillow", "tqdm"}


# --- what is sent to be built


def sources() -> set[str]:
    return {source for found, _ in copied() for source in found}


def test_builder_is_sent_what_is_copied():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored
    assert {source.split("/")[0] for source in sources()} == kept


def test_cloud_build_is_sent_what_is_copied_and_the_dockerfile():
    """Its rules are those of .gitignore, so git says what they mean."""
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-from=.gcloudignore"]
    left_out = set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())
    everything = set(
        subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    )
    sent = everything - left_out
    assert {"Dockerfile", ".dockerignore", *sources()} <= sent | {"pipeline"}
    assert {name.split("/")[0] for name in sent} == {source.split("/")[0] for source in sources()} | {
        "Dockerfile",
        ".dockerignore",
    }


@pytest.mark.parametrize("source", sorted(sources()))
def test_what_is_copied_exists(source):
    assert (ROOT / source).exists()
