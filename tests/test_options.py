"""The command line: each mistake gives one line, exit status 2, and nothing has started."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import option_values, options, secret
from pipeline.enforcement.survey import SectionError
from pipeline.jobs import JOBS, main
from pipeline.option_values import OptionError
from pipeline.options import Settings
from pipeline.packets import keys

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = """
cameras:
  G1: {location: [40.74, -73.99]}
  G2: {location: [40.7431, -73.9877]}
sections:
  - {id: G1-G2, cameras: [G1, G2], length_m: [500], limit: 25 mph}
  - {id: track, line: [[40.74, -73.99], [40.75, -73.98]], limit: 40 km/h}
"""
EDEM = (
    "--project_id=project-1",
    "--input_subscription=sightings",
    "--output_topic=fines",
    "--radar_id=M30",
    "--cars_api=https://cars.example/api",
)


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.ndjson").write_text("{}\n")
    (tmp_path / "sections.yaml").write_text(SECTIONS)


def settings(*argv: str) -> Settings:
    return options.check(options.parse(argv))


def files(*argv: str) -> Settings:
    return settings("--input=in.ndjson", "--output_dir=out", *(argv or ("--radar_id=M30",)))


def mistake(capsys, *argv: str) -> str:
    """The one line that a mistake prints."""
    status = main(argv)
    printed = capsys.readouterr()
    assert (status, printed.out) == (2, "")
    assert printed.err.count("\n") == 1
    line = printed.err.removeprefix("python -m pipeline: ").strip()
    assert line != printed.err.strip()
    return line


# --- what works


def test_five_flags_of_the_class_exercise_are_enough():
    found = settings(*EDEM)
    assert found.streaming
    assert found.input == "projects/project-1/subscriptions/sightings"
    assert found.output_topic == "projects/project-1/topics/fines"
    assert found.cars_api == "https://cars.example/api"
    assert list(found.network.sections) == ["M30"]
    assert found.network.sections["M30"].limit_kmh == pytest.approx(40.2336)
    assert (found.read_plates, found.evidence_bucket) == (True, "project-1-evidence")
    assert found.allowed_lateness_s == 86_400


def test_flags_with_a_space_are_the_same():
    spaced = settings(*(part for flag in EDEM for part in flag.split("=", 1)))
    assert (spaced.input, spaced.output_topic, spaced.cars_api) == (
        "projects/project-1/subscriptions/sightings",
        "projects/project-1/topics/fines",
        "https://cars.example/api",
    )


def test_full_names_need_no_project():
    found = settings(
        "--input_subscription=projects/project-a/subscriptions/sights",
        "--output_topic=projects/project-b/topics/fines",
        "--rejected_topic=projects/project-c/topics/rejected",
        "--dataset=project-d.speed",
        "--radar_id=M30",
        "--ocr=none",
    )
    assert (found.input, found.output_topic, found.rejected_topic, found.dataset) == (
        "projects/project-a/subscriptions/sights",
        "projects/project-b/topics/fines",
        "projects/project-c/topics/rejected",
        "project-d.speed",
    )


def test_project_of_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "env-project")
    assert settings(*EDEM[1:]).input == "projects/env-project/subscriptions/sightings"


def test_project_of_beam():
    assert settings("--project=beam-project", *EDEM[1:]).input == "projects/beam-project/subscriptions/sightings"


def test_files_need_no_project():
    found = files()
    assert (found.streaming, found.output_dir, found.read_plates) == (False, "out", False)
    assert Path(found.input).samefile("in.ndjson")
    assert Path("out").is_dir()


def test_sections_and_gap():
    assert files("--sections=sections.yaml").session_gap_s == pytest.approx(502.0, rel=0.01)
    assert files("--sections=sections.yaml", "--session_gap=45s").session_gap_s == 45


def test_gap_in_which_no_leg_can_be_driven_at_its_limit_is_refused(capsys):
    """500 m at 25 mph, which is 40.2336 km/h, take 44.739 s: a vehicle just over it is seen a gap later, as another."""
    told = mistake(capsys, *FILES[:2], "--sections=sections.yaml", "--session_gap=44s")
    assert told == (
        "--session_gap: found '44s'; allowed: at least 44.739 s, since the leg from G1 to G2 of section G1-G2 takes so "
        "long at its limit, 500 m x 3.6 / 40.2336 km/h, and a vehicle just over it would never be measured. Give a "
        "longer one, or leave it out"
    )
    assert files("--sections=sections.yaml", "--session_gap=44.739s").session_gap_s == 44.739


@pytest.mark.parametrize("limit", ["20 km/h", "[{limit: 50 km/h}, {limit: 20 km/h, classes: [truck]}]"])
def test_gap_is_held_against_the_leg_that_takes_longest_at_its_lowest_limit(capsys, limit):
    back = f"  - {{id: back, cameras: [G2, G1], length_m: [450], limit: {limit}}}\n"
    Path("sections.yaml").write_text(SECTIONS + back)
    told = mistake(capsys, *FILES[:2], "--sections=sections.yaml", "--session_gap=40s")
    assert "allowed: at least 81 s, since the leg from G2 to G1 of section back takes so long" in told


def test_gap_of_a_track_is_its_own_affair():
    assert files("--radar_id=M30", "--session_gap=1s").session_gap_s == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("1.5s", 1.5), ("2min", 120), ("24h", 86400), ("2d", 172800), (" 5 s ", 5)]
)
def test_duration(text, seconds):
    assert option_values.duration_s(text, "--x") == seconds


def test_tolerance_in_miles():
    assert files("--radar_id=M30", "--tolerance=10 mph").tolerance_kmh == pytest.approx(16.09344)


@pytest.mark.parametrize("bucket", ["my-evidence", "gs://my-evidence", "gs://my-evidence/"])
def test_bucket_in_both_spellings(bucket):
    assert settings(*EDEM, f"--evidence_bucket={bucket}").evidence_bucket == "my-evidence"


def test_secret_is_no_part_of_the_settings():
    assert "0123456789abcdef" not in repr(settings(*EDEM))


def test_packets_are_made_where_a_key_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    assert settings(*PUBSUB).signing_key is None
    place = tmp_path / "signing.key"
    found = settings(*PUBSUB, f"--signing_key={place}").signing_key
    assert found == keys.source(str(place))
    assert (tmp_path / "signing.key.pub").exists()


def test_privacy_off_needs_no_secret(monkeypatch):
    monkeypatch.delenv(secret.VARIABLE)
    assert files("--radar_id=M30", "--privacy=off", "--privacy_secret=/proc/none").privacy_secret is None


def test_options_of_beam_are_known():
    assert files("--radar_id=M30", "--direct_num_workers=2", "--runner=DirectRunner").streaming is False


# --- what does not

FILES = ("--input=in.ndjson", "--output_dir=out", "--radar_id=M30")
PUBSUB = ("--input_subscription=sights", "--output_topic=fines", "--radar_id=M30", "--project_id=project-1")
FULL = (
    "--input_subscription=projects/project-1/subscriptions/sights",
    "--output_topic=projects/project-1/topics/fines",
    "--radar_id=M30",
    "--ocr=none",
)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--intput=x",), "--intput=x: no such option. Did you mean --input?"),
        (("--output-dir=x",), "Did you mean --output_dir?"),
        (("--qwertyuiop",), "no such option. See python -m pipeline --help."),
        ((*FILES, "stray"), "stray"),
        (("no-such-job",), "no-such-job: no such job; allowed: section-speed"),
        ((), "--input_subscription, --input: found neither"),
        ((*FILES, "--input_subscription=sights"), "--input_subscription, --input: found both"),
        (("--input=in.ndjson", "--radar_id=M30"), "--output_dir: absent"),
        (("--input_subscription=sights", "--radar_id=M30"), "--output_topic: absent"),
        ((*PUBSUB, "--output_dir=out"), "--output_dir: found with --input_subscription"),
        (FILES[:2], "--sections, --radar_id: found neither"),
        (("--input=none-*.ndjson", *FILES[1:]), "--input: found no file at "),
        (("--input=", *FILES[1:]), "--input"),
        ((*FILES, "--session_gap=30"), "--session_gap: found '30'"),
        ((*FILES, "--session_gap=0s"), "--session_gap: found '0s'"),
        ((*FILES, "--session_gap=-5s"), "--session_gap: found '-5s'"),
        ((*FILES, "--session_gap="), "--session_gap: found ''"),
        ((*FILES, f"--session_gap={'9' * 400}s"), "--session_gap: found '999"),
        ((*FILES, "--session_gap=0.0000001s"), "--session_gap: found '0.0000001s'"),
        ((*FILES, "--session_gap=24.1h"), "from 0.001 s to 24 h"),
        ((*FILES, "--session_gap=nan"), "--session_gap: found 'nan'"),
        ((*PUBSUB, "--allowed_lateness=1 week"), "--allowed_lateness: found '1 week'"),
        ((*PUBSUB, "--allowed_lateness="), "--allowed_lateness: found ''"),
        ((*PUBSUB, f"--allowed_lateness={'9' * 400}d"), "--allowed_lateness: found '999"),
        ((*FILES, "--speed_limit=40"), "--speed_limit: found '40'"),
        ((*FILES, "--speed_limit=0 mph"), "--speed_limit: found '0 mph'"),
        ((*FILES, "--tolerance=3"), "--tolerance: found '3'"),
        ((*FILES, "--tolerance=-3 km/h"), "--tolerance: found '-3 km/h'"),
        ((*FILES, "--tolerance=301 km/h"), "from 0 to 300 km/h"),
        ((*FILES, "--sections=none.yaml"), "--sections: none.yaml cannot be read"),
        ((*FILES, "--sections=."), "--sections: . cannot be read"),
        ((*FILES, "--sections=broken.yaml"), "--sections broken.yaml: section G1-G2: limit: found "),
        ((*FILES, "--sections=latin.yaml"), "--sections: latin.yaml cannot be read"),
        (
            ("--input=in.ndjson", "--output_dir=out", "--sections=sections.yaml", "--radar_id=X"),
            "--radar_id: found 'X'",
        ),
        (
            ("--input=in.ndjson", "--output_dir=in.ndjson/out", "--radar_id=M30"),
            "--output_dir: in.ndjson/out cannot be",
        ),
        (("--input=in.ndjson", "--output_dir=in.ndjson", "--radar_id=M30"), "--output_dir: in.ndjson cannot be"),
        (("--input=in.ndjson", "--output_dir=/proc/out", "--radar_id=M30"), "--output_dir: /proc/out cannot be"),
        ((*FILES, "--ocr=maybe"), "--ocr: "),
        ((*FILES, "--privacy=maybe"), "--privacy: "),
        ((*FILES, "--sections"), "--sections: "),
        ((*FILES, "--direct_num_workers=many"), "--direct_num_workers: "),
        ((*FILES, "--ocr=vision"), "--evidence_bucket: absent"),
        ((*PUBSUB, "--dataset=a-b"), "--dataset: found 'a-b'"),
        ((*FULL, "--dataset=speed"), "--project_id: absent; needed for --dataset speed"),
        ((*FILES, "--evidence_bucket=gs://b/folder"), "--evidence_bucket: found 'gs://b/folder'"),
        ((*FILES, "--evidence_bucket=B"), "--evidence_bucket: found 'B'"),
        ((*FILES, "--cars_api=cars.example"), "--cars_api: found 'cars.example'"),
        ((*FILES, "--cars_api=file:///etc/passwd"), "--cars_api: found 'file:///etc/passwd'"),
        ((*FILES, "--cars_api=http://[::1"), "--cars_api: found 'http://[::1'"),
        ((*FILES, "--cars_api=http://h:port/"), "--cars_api: found 'http://h:port/'"),
        ((*PUBSUB[:3], "--ocr=none"), "--project_id: absent; needed for --output_topic fines"),
        ((*PUBSUB[:3], "--project_id=p1"), "--project_id: found 'p1'"),
        (("--output_topic=projects/p1/topics/fines", PUBSUB[0], *PUBSUB[2:]), "--output_topic: found 'projects/p1/"),
        ((*PUBSUB[:3], "--project_id=My Project"), "--project_id: found 'My Project'"),
        (("--input_subscription=a/b", *PUBSUB[1:]), "--input_subscription: found 'a/b'"),
        (("--input_subscription=s", *PUBSUB[1:]), "--input_subscription: found 's'; allowed: NAME or "),
        (("--input_subscription=s", *PUBSUB[1:]), "NAME of 3 to 255 characters"),
        (("--input_subscription=projects/p/topics/x", *PUBSUB[1:]), "--input_subscription: found"),
        (("--output_topic=projects/p/subscriptions/x", PUBSUB[0], *PUBSUB[2:]), "--output_topic: found"),
        ((*PUBSUB, "--publish_all=maybe"), "--publish_all: found 'maybe'; allowed: true, false"),
        ((*PUBSUB, "--rejected_topic=a b"), "--rejected_topic: found 'a b'"),
        ((*PUBSUB, "--rejected_topic=fines"), "--rejected_topic: found 'fines', the --output_topic; allowed: another"),
        ((*PUBSUB, "--rejected_topic=projects/project-1/topics/fines"), "the --output_topic; allowed: another topic"),
        ((*FILES, "--signing_key=key"), "--signing_key: found without a bucket for its packets; allowed: with --evid"),
        (
            (*FILES, "--evidence_bucket=bucket", "--signing_key=in.ndjson/x"),
            "--signing_key: in.ndjson/x cannot be read",
        ),
        ((*FILES, "--privacy_secret=in.ndjson/x"), "--privacy_secret: in.ndjson/x cannot be read or made"),
    ],
)
def test_mistake_gives_one_line(capsys, monkeypatch, argv, says):
    Path("broken.yaml").write_text(SECTIONS.replace("25 mph", "25"))
    Path("latin.yaml").write_bytes("name: Straße".encode("latin-1"))
    if any("--privacy_secret" in item for item in argv):
        monkeypatch.delenv(secret.VARIABLE)
    assert says in mistake(capsys, *argv)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("provision", "--dry-run"), "--dry-run: no such option. Did you mean --dry_run?"),
        (("provision", "--qwertyuiop"), "no such option. See python -m pipeline provision --help."),
        (("provision", "stray"), "stray: no such option"),
        (("provision", "--dry_run=3"), "--dry_run: ignored explicit argument '3'"),
        (("provision", "--location"), "--location: expected one argument"),
        (("deprovision", "--y"), "--y: no such option. Did you mean --yes?"),
        (("deprovision", "--project", "project-1"), "--project: no such option. Did you mean --project_id?"),
        (("republish", "--dataste=d"), "--dataste=d: no such option. Did you mean --dataset?"),
        (("republish", "--input"), "--input: expected one argument"),
    ],
)
def test_mistake_of_another_job_gives_one_line(capsys, argv, says):
    assert says in mistake(capsys, *argv)


@pytest.mark.parametrize(
    "option",
    [
        "--output_topic=fines",
        "--rejected_topic=rejected",
        "--publish_all",
        "--dataset=project-1.speed",
        "--timestamp_attribute=timestamp",
        "--timestamp_attribute=",
        "--id_attribute=event_id",
        "--allowed_lateness=24h",
        "--decide_at=end",
    ],
)
def test_option_that_files_would_ignore(capsys, option):
    name = option.split("=")[0]
    found = mistake(capsys, *FILES, option)
    assert found == f"{name}: found with --input; allowed: only with --input_subscription. Leave it out"


@pytest.mark.parametrize("option", ["--output_dir=out", "--output_dir="])
def test_option_that_a_subscription_would_ignore(capsys, option):
    found = mistake(capsys, *PUBSUB, option)
    assert found == "--output_dir: found with --input_subscription; allowed: only with --input. Leave it out"


def test_limit_beside_a_section_file(capsys):
    """Its sections have limits of their own: whoever gives another one expects it to count."""
    argv = ("--input=in.ndjson", "--output_dir=out", "--sections=sections.yaml", "--speed_limit=50 mph")
    assert mistake(capsys, *argv).startswith("--speed_limit: found with --sections")


@pytest.mark.parametrize("argv", [FILES, (*PUBSUB, "--ocr=none")])
def test_pictures_asked_for_without_a_place_to_keep_them(capsys, argv):
    assert mistake(capsys, *argv, "--cars_api=https://cars.example/").startswith("--cars_api: found without a bucket")


def test_defaults_that_only_a_subscription_has():
    found = settings(*PUBSUB)
    assert (found.allowed_lateness_s, found.publish_all) == (86_400, False)


STREAM_OF_SECTIONS = (*PUBSUB[:2], "--project_id=project-1", "--ocr=none", "--sections=sections.yaml")


def test_decision_at_the_exit_is_asked_for_and_is_of_cameras_alone():
    assert settings(*STREAM_OF_SECTIONS).early_sections == set()
    assert settings(*STREAM_OF_SECTIONS, "--decide_at=end").early_sections == set()
    assert settings(*STREAM_OF_SECTIONS, "--decide_at=exit").early_sections == {"G1-G2"}


@pytest.mark.parametrize("policy", ["nl", "nyc"])
def test_decision_at_the_exit_where_no_section_allows_it(capsys, policy):
    found = mistake(capsys, *STREAM_OF_SECTIONS, "--decide_at=exit", f"--policy={policy}")
    assert found.startswith("--decide_at: found 'exit', where no section allows it; allowed: with a section of cameras")


@pytest.mark.parametrize("name", ["timestamp_attribute", "id_attribute"])
def test_attribute_is_read_on_dataflow_alone_and_only_if_named(name):
    """Beam's source fails on a message without the attribute of the time, so no message must need one."""
    cloud = (*PUBSUB, "--runner=DataflowRunner")
    assert getattr(settings(*cloud), name) is None
    assert getattr(settings(*cloud, f"--{name}="), name) is None
    assert getattr(settings(*cloud, f"--{name}=seen"), name) == "seen"


@pytest.mark.parametrize("runner", [(), ("--runner=DirectRunner",)])
@pytest.mark.parametrize("option", ["--timestamp_attribute", "--id_attribute"])
@pytest.mark.parametrize("attribute", ["seen", ""])
def test_attribute_that_the_local_runner_would_ignore(capsys, option, attribute, runner):
    found = mistake(capsys, *PUBSUB, *runner, f"{option}={attribute}")
    allowed = "allowed: only with --runner=DataflowRunner. Leave it out"
    assert found == f"{option}: found with --runner=DirectRunner; {allowed}"


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        ((), False),
        (("--publish_all",), True),
        (("--publish_all=true",), True),
        (("--publish_all=True",), True),
        (("--publish_all=false",), False),
    ],
)
def test_switch_alone_or_as_a_template_spells_it(argv, found):
    assert settings(*PUBSUB, *argv).publish_all is found


def test_help_is_no_mistake(capsys):
    with pytest.raises(SystemExit) as ended:
        raise SystemExit(main(["--help"]))
    printed = capsys.readouterr()
    assert ended.value.code in (0, None)
    assert "--input_subscription" in printed.out
    assert printed.err == ""


def test_readme_names_no_option_that_help_does_not_list(capsys):
    """Beam's own are listed by neither: whoever asks for help would wait for Beam."""
    main(["--help"])
    listed = set(re.findall(r"^ +(--\w+)", capsys.readouterr().out, re.MULTILINE))
    table, after = README.split("| Option of `python -m pipeline` | Meaning |\n")[1].split("\n\n")[:2]
    named = {name for row in table.splitlines() for name in re.findall(r"--\w+", row.split("|")[1])}
    beams = set(re.findall(r"--\w+", after.partition("but not Beam's own")[2]))
    assert "--sections" in named <= listed
    assert "--runner" in beams
    assert not beams & listed


@pytest.mark.parametrize("job", [(), *((name,) for name in JOBS)])
def test_help_waits_for_neither_the_engine_nor_a_client(job):
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipeline", *job, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert found.stdout.startswith("usage: python -m pipeline ")
    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    assert "pipeline.command_lines" in imported
    heavy = ("apache_beam", "google", "grpc", "numpy", "pipeline.enforcement")
    assert not [name for name in imported if name.startswith(heavy)]


def test_error_types_are_ours():
    with pytest.raises(OptionError):
        files("--radar_id=M30", "--session_gap=x")
    with pytest.raises(SectionError):
        files("--radar_id=M30", "--speed_limit=x")


def test_radar_id_of_a_camera_section_is_a_mistake():
    """It names the section of sightings without a camera; a camera section would refuse every one of them."""
    with pytest.raises(OptionError, match="--radar_id"):
        files("--sections=sections.yaml", "--radar_id=G1-G2")


def command(*argv: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *argv],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_mistake_on_the_real_command_line(tmp_path):
    found = command(f"--input={tmp_path}/in.ndjson", f"--output_dir={tmp_path}/in.ndjson/out", "--radar_id=M30")
    assert found.returncode == 2
    assert found.stderr.startswith("python -m pipeline: --output_dir: ")
    assert found.stderr.count("\n") == 1
    assert "Traceback" not in found.stderr + found.stdout


def test_job_may_be_named(tmp_path):
    found = command("section-speed", "--intput=x")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "python -m pipeline: --intput=x: no such option. Did you mean --input?\n"
