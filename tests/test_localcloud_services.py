"""The services as one: up together, down together, and clear words when something is wrong."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import localcloud
from localcloud import LocalCloudError, cars_api, services

LIGHT = ["cars_api"]
PORTS_OF = {"pubsub", "storage", "bigquery", "vision", "cars_api", "metadata"}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids, within_s=10.0):
    """Whether all these processes end within the time."""
    until = time.monotonic() + within_s
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(alive, pids))


def children_of(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def sockets_of(pid):
    """The inodes of a process's sockets; a file that it closes meanwhile is passed over."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(fd).removeprefix("socket:[").rstrip("]")


def fetched(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as response:
        return response.read(), response.headers


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")


class TestRunning:
    def test_all_services_are_up_with_their_variables(self, cloud):
        assert cloud.pids.keys() == PORTS_OF
        assert cloud.dead() == []
        for name in ("PUBSUB_EMULATOR_HOST", "VISION_EMULATOR_HOST"):
            assert re.fullmatch(r"127\.0\.0\.1:\d+", cloud.env[name])
        for name in ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST"):
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", cloud.env[name])
        assert cloud.env["GOOGLE_CLOUD_PROJECT"] == "local-project"

    @needs_proc
    def test_nothing_listens_on_other_addresses_than_the_loopback(self, cloud):
        pids = list(cloud.pids.values())
        pids += [child for pid in cloud.pids.values() for child in children_of(pid)]
        inodes = {inode for pid in pids for inode in sockets_of(pid)}
        listening = []
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == "0A" and parts[9] in inodes:
                    listening.append(parts[1].partition(":")[0])
        assert len(listening) >= len(PORTS_OF)
        assert set(listening) <= {"0100007F", "0000000000000000FFFF00000100007F"}

    def test_google_credentials_come_from_the_metadata_stand_in(self, cloud):
        code = (
            "import google.auth, google.auth.transport.requests as r\n"
            "credentials, project = google.auth.default()\n"
            "credentials.refresh(r.Request())\n"
            "print(credentials.token, project)"
        )
        environment = {"PATH": os.environ["PATH"], "HOME": str(cloud.data_dir)} | cloud.env
        environment.pop("GOOGLE_CLOUD_PROJECT")
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30, check=True
        )
        assert done.stdout.split() == ["local", "local-project"]

    @needs_proc
    def test_afterwards_no_process_and_no_listener_is_left(self, tmp_path):
        with localcloud.running(tmp_path, only=["storage", "cars_api"]) as cloud:
            pids = list(cloud.pids.values())
            pids += [child for pid in pids for child in children_of(pid)]
            assert len(pids) == 4  # two, the metadata stand-in, and the program under storage
            url = cloud.env["CARS_API_URL"]
        assert not any(map(alive, pids))
        with pytest.raises(urllib.error.URLError):
            fetched(url)

    @needs_proc
    def test_an_error_inside_stops_everything_too(self, tmp_path):
        class Boom(Exception):
            pass

        with pytest.raises(Boom), localcloud.running(tmp_path, only=LIGHT) as cloud:
            raise Boom
        assert gone(cloud.pids.values(), 0)

    def test_buckets_outlive_a_restart(self, tmp_path):
        for _ in range(2):
            with localcloud.running(tmp_path, only=["storage"]) as cloud:
                host = cloud.env["STORAGE_EMULATOR_HOST"]
                kept = json.loads(fetched(f"{host}/storage/v1/b")[0]).get("items", [])
                body = json.dumps({"name": "kept"}).encode()
                if not kept:
                    request = urllib.request.Request(f"{host}/storage/v1/b", body, {"Content-Type": "application/json"})
                    urllib.request.urlopen(request, timeout=5).close()
        assert [bucket["name"] for bucket in kept] == ["kept"]

    @needs_proc
    def test_a_service_that_dies_is_told_with_its_name_and_log(self, tmp_path):
        told, heard = [], threading.Event()

        def log(line):
            told.append(line)
            heard.set()

        with localcloud.running(tmp_path, only=LIGHT, log=log) as cloud:
            os.kill(cloud.pids["cars_api"], signal.SIGKILL)
            assert heard.wait(5)
            assert cloud.dead() == ["cars_api"]
        assert len(told) == 1
        assert told[0].startswith("cars_api: the service ended by itself")
        assert str(cloud.log_path("cars_api")) in told[0]

    @needs_proc
    def test_the_program_under_a_service_that_dies_is_told_too(self, tmp_path):
        told, heard = [], threading.Event()

        def log(line):
            told.append(line)
            heard.set()

        with localcloud.running(tmp_path, only=["storage"], log=log) as cloud:
            for program in children_of(cloud.pids["storage"]):
                os.kill(program, signal.SIGKILL)
            assert heard.wait(5)
            assert cloud.dead() == ["storage"]
        assert told[0].startswith("storage: the service ended by itself")

    @needs_proc
    def test_a_child_that_does_not_listen_is_killed_in_the_end(self, tmp_path, monkeypatch):
        monkeypatch.setattr(services, "STOP_GRACE_S", 0.5)
        with localcloud.running(tmp_path, only=LIGHT) as cloud:
            os.kill(cloud.pids["cars_api"], signal.SIGSTOP)
        assert gone(cloud.pids.values(), 0)


class TestMistakes:
    def test_a_busy_port_is_named_with_what_to_do(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with (
                pytest.raises(LocalCloudError, match=f"port_cars_api: {port} .*in use.*another port"),
                localcloud.running(tmp_path, only=LIGHT, ports={"cars_api": port}),
            ):
                pass

    def test_a_wanted_port_is_used(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with localcloud.running(tmp_path, only=LIGHT, ports={"cars_api": port}) as cloud:
            assert cloud.env["CARS_API_URL"] == f"http://127.0.0.1:{port}/"

    @pytest.mark.parametrize("port", [-1, 65536])
    def test_a_number_that_is_no_port_is_told_with_the_range(self, tmp_path, port):
        with (
            pytest.raises(LocalCloudError, match=f"{port} is no port; allowed: 1 to 65535"),
            localcloud.running(tmp_path, only=LIGHT, ports={"cars_api": port}),
        ):
            pass

    @pytest.mark.parametrize("options", [{"only": ["pubsbu"]}, {"ports": {"pubsbu": 1}}])
    def test_an_unknown_service_is_told_with_those_there_are(self, tmp_path, options):
        with (
            pytest.raises(LocalCloudError, match="'pubsbu'; allowed: pubsub, storage"),
            localcloud.running(tmp_path, **options),
        ):
            pass

    def test_a_data_folder_that_cannot_be_made_is_told(self, tmp_path):
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(LocalCloudError, match=r"data_dir: cannot write to .*choose a folder"),
            localcloud.running(tmp_path / "file" / "data", only=LIGHT),
        ):
            pass

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_read_only_data_folder_is_told(self, tmp_path):
        tmp_path.chmod(0o500)
        with (
            pytest.raises(LocalCloudError, match="data_dir: cannot write to"),
            localcloud.running(tmp_path, only=LIGHT),
        ):
            pass

    @needs_proc
    def test_a_service_that_does_not_start_is_told_with_its_last_words(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VISION_FAULTS", "nonsense")
        with (
            pytest.raises(LocalCloudError, match=r"vision: did not start: .*VISION_FAULTS.*see .*vision\.log"),
            localcloud.running(tmp_path, only=["vision"]),
        ):
            pass


class Command:
    """python -m localcloud in a process group of its own."""

    def __init__(self, data_dir, *options):
        command = [sys.executable, "-u", "-m", "localcloud", "--data_dir", str(data_dir), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def exports(self):
        """The lines up to the note that follows the variables."""
        return dict(
            line.removeprefix("export ").strip().split("=", 1)
            for line in iter(self.process.stdout.readline, "\n")
            if line.startswith("export ")
        )

    def end(self, within_s=15):
        out, err = self.process.communicate(timeout=within_s)
        return self.process.returncode, out, err


@pytest.fixture
def command(tmp_path):
    started = []

    def start(*options, data_dir=tmp_path):
        started.append(Command(data_dir, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@needs_proc
class TestCommand:
    def test_it_prints_the_variables_and_ctrl_c_ends_it_and_all_it_started(self, command):
        running = command()
        variables = running.exports()
        assert variables.keys() >= {service.variable for service in services.SERVICES.values()}
        pids = children_of(running.process.pid)
        assert len(pids) == len(PORTS_OF)
        os.killpg(running.process.pid, signal.SIGINT)
        code, _, err = running.end()
        assert (code, err) == (0, "")
        assert gone(pids, 0)

    def test_terminated_it_ends_the_same_way(self, command):
        running = command("--only", "storage,cars_api")
        running.exports()
        pids = children_of(running.process.pid)
        running.process.terminate()
        code, _, err = running.end()
        assert (code, err) == (0, "")
        assert gone(pids, 0)

    def test_interrupted_while_starting_it_leaves_nothing(self, command):
        running = command()
        until = time.monotonic() + 10
        while not (pids := children_of(running.process.pid)) and time.monotonic() < until:
            time.sleep(0.01)
        running.process.send_signal(signal.SIGINT)
        code, out, err = running.end()
        assert (code, out, err) == (0, "", "")
        assert gone(pids)

    def test_killed_it_takes_its_services_with_it(self, command):
        running = command("--only", "storage,cars_api")
        running.exports()
        pids = children_of(running.process.pid)
        pids += [child for pid in pids for child in children_of(pid)]
        running.process.kill()
        assert gone(pids)

    def test_with_nobody_to_read_the_variables_it_ends_with_a_line_and_leaves_nothing(self, command):
        running = command("--only", "cars_api")
        running.process.stdout.close()
        err = running.process.stderr.read()
        assert running.process.wait(15) == 128 + signal.SIGPIPE
        assert err.count("\n") == 1
        assert err.startswith("localcloud: standard output was closed")

    def test_a_mistake_is_one_line_and_exit_2(self, command):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            code, out, err = command("--port_pubsub", str(taken.getsockname()[1])).end()
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.startswith("localcloud: port_pubsub:")


class TestCarsApi:
    @pytest.fixture
    def pictures(self, tmp_path):
        for name in ("KJR4821", "other", "third"):
            (tmp_path / f"{name}.jpg").write_bytes(name.encode())
        (tmp_path / "notes.txt").write_text("no picture")
        return tmp_path

    @pytest.fixture
    def url(self, pictures, tmp_path_factory, monkeypatch):
        monkeypatch.setenv(cars_api.PICTURES_DIR_VARIABLE, str(pictures))
        with localcloud.running(tmp_path_factory.mktemp("cars"), only=LIGHT) as cloud:
            yield cloud.env["CARS_API_URL"]

    def test_a_vehicle_gets_its_own_picture_or_always_the_same_one(self, url):
        own = json.loads(fetched(f"{url}?vehicle_id=KJR4821")[0])["image_url"]
        assert fetched(own)[0] == b"KJR4821"
        assert fetched(own)[1]["Content-Type"] == "image/jpeg"
        strangers = {json.loads(fetched(f"{url}?vehicle_id=XYZ1")[0])["image_url"] for _ in range(5)}
        assert len(strangers) == 1

    def test_without_a_vehicle_the_pictures_take_turns(self, url):
        got = [json.loads(fetched(url)[0])["image_url"].rpartition("/")[2] for _ in range(4)]
        assert got == ["KJR4821.jpg", "other.jpg", "third.jpg", "KJR4821.jpg"]

    @pytest.mark.parametrize(
        "path", ["pictures/nothing.jpg", "pictures/notes.txt", "pictures/..%2f..%2fetc%2fpasswd", "x"]
    )
    def test_what_is_no_picture_of_the_folder_is_not_found(self, url, path):
        with pytest.raises(urllib.error.HTTPError) as raised:
            fetched(url + path)
        assert raised.value.code == 404
        assert json.loads(raised.value.read())["error"]
        raised.value.close()

    def test_an_empty_folder_is_not_found_with_its_name(self, cloud):
        with pytest.raises(urllib.error.HTTPError) as raised:
            fetched(cloud.env["CARS_API_URL"])
        assert raised.value.code == 404
        assert str(cloud.data_dir / "cars") in json.loads(raised.value.read())["error"]
        raised.value.close()
