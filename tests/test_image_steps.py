"""The build of the image, without an engine of containers: its own instructions, done in a new environment.

What cannot be done so is the base images' part: the launcher, Beam's boot and Debian.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dataflow_samples import Launched, launch, parameters
from dockerfile import ROOT, Instruction, instructions, variables

pytestmark = [pytest.mark.registry, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> tuple[Path, Path]:
    """The interpreter of the environment, and the folder that is /template in the image."""
    root = tmp_path_factory.mktemp("image")
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert uv, "uv is not installed; run make setup"
    made = [uv, "venv", "--quiet", "--seed", "--no-python-downloads", "--python", "3.11", root / "venv"]
    assert subprocess.run(made, check=False).returncode == 0, "the image has Python 3.11; install it beside this one"
    template = root / "template"
    template.mkdir()
    for instruction in instructions():
        _do(instruction, template, environment(root / "venv" / "bin"))
    return root / "venv" / "bin" / "python", template


def environment(binaries: Path) -> dict[str, str]:
    """Nothing of ours but what a package registry is found by."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    kept |= {name: os.environ[name] for name in ("HOME", "TMPDIR", "https_proxy", "HTTPS_PROXY") if name in os.environ}
    return kept | {"PATH": f"{binaries}:/usr/bin:/bin"}


def _do(instruction: Instruction, template: Path, env: dict[str, str]) -> None:
    """COPY from this project and RUN; the others say how the image is run."""
    if instruction.name == "RUN":
        subprocess.run(["/bin/sh", "-c", instruction.text], cwd=template, env=env, check=True)
    elif instruction.name == "COPY" and not instruction.text.startswith("--from"):
        *sources, target = instruction.text.split()
        for source in sources:
            _copy(ROOT / source, template / target)


def _copy(source: Path, target: Path) -> None:
    """As COPY does: the contents of a folder, or a file under the name or into the folder of the target."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_folder_holds_no_module_but_the_one_that_is_run(image):
    found = {path.name for path in image[1].rglob("*.py")}
    assert found == {Path(variables()["FLEX_TEMPLATE_PYTHON_PY_FILE"]).name, "setup.py"}


def test_package_is_installed_with_its_views(image):
    program = (
        "import pathlib, pipeline.warehouse\n"
        "print(len(list(pathlib.Path(pipeline.warehouse.__path__[0]).rglob('*.sql'))))"
    )
    found = subprocess.run([image[0], "-I", "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert int(found.stdout) == len(list((ROOT / "pipeline" / "warehouse").rglob("*.sql")))


def test_every_module_is_imported_without_the_packages_of_the_tests(image):
    program = (
        "import importlib, pkgutil, pipeline\n"
        "for found in pkgutil.walk_packages(pipeline.__path__, 'pipeline.'):\n"
        "    found.name.endswith('__main__') or importlib.import_module(found.name)\n"
    )
    subprocess.run([image[0], "-I", "-c", program], check=True, cwd="/")


def test_launcher_gets_the_graph_from_this_environment_and_workers_its_steps(image, cloud, dataflow_bucket):
    interpreter, template = image
    program = template / Path(variables()["FLEX_TEMPLATE_PYTHON_PY_FILE"]).name
    given = parameters(dataflow_bucket) | {"sections": str(template / "sections.yaml")}
    found = launch(
        cloud, dataflow_bucket, given, interpreter=interpreter, program=program, cwd=Path("/"), installed=True
    )
    assert found.returncode == 0, found.stderr
    job = Launched(dataflow_bucket)
    assert job.options["sections"] == given["sections"]
    unpickled = job.unpickled(interpreter, environment(interpreter.parent))
    assert int(unpickled.stdout or 0) > 20, unpickled.stderr
