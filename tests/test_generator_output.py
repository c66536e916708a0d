"""What is generated: the same for the same seed, complete, dated as promised, and each fault at its rate."""

import gzip
import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from generator.config import FAULTS, ClockShift, Config, Form, GeneratorError, Pictures
from generator.edem import POINTS
from generator.faults import MALFORMED, malformed_objects, misread_plate
from generator.outgoing import cuts
from generator.run import begin_at, generate, publish
from generator.sightings import flow_and_haste
from generator.sinks import FileSink, FolderStore
from generator.truth import TruePassage, TruthSummary
from pipeline.enforcement.sections import parse_network

NETWORK = parse_network((Path(__file__).parent.parent / "templates" / "sections.yaml").read_text())
NEEDED = {
    "event_id",
    "vehicle_id",
    "plate",
    "plate_region",
    "plate_confidence",
    "camera_id",
    "timestamp",
    "location",
    "speed",
    "vehicle_class",
    "lane",
}


def config(**changes):
    return Config(**({"network": NETWORK, "vehicles": 200, "batch_us": float("inf")} | changes))


def edem(**changes):
    line = {"initial": (40.76, -73.97), "final": (40.75, -73.98)}
    return Config(**({"form": Form.EDEM, "vehicles": 200, "batch": 1, **line} | changes))


def objects(scenario):
    """The objects published, in order; None for one that is no JSON."""

    def read(line):
        try:
            return json.loads(line)
        except ValueError:
            return None

    return [read(line) for message in scenario.messages() for line in message.payload.splitlines()]


def passages_and_summary(scenario, published=None):
    *passages, summary = scenario.truth(published)
    assert isinstance(summary, TruthSummary)
    assert all(isinstance(passage, TruePassage) for passage in passages)
    return passages, summary


def rate_of(name, rate=0.2, vehicles=3000):
    scenario = generate(config(vehicles=vehicles, faults={name: rate}, bucket="b"))
    return scenario, passages_and_summary(scenario)[1]


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
@pytest.mark.parametrize("make", [config, edem])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, name, make):
    written = []
    for folder, seed in (("one", 7), ("two", 7), ("three", 8)):
        settings = make(seed=seed) if make is edem else make(seed=seed, faults=FAULTS, bucket="b")
        with FileSink(tmp_path / folder / name) as sink:
            publish(generate(settings), sink, paced=False)
        written.append((tmp_path / folder / name).read_bytes())
    assert written[0] == written[1] != written[2]


def test_compressed_files_hold_what_plain_ones_hold(tmp_path):
    for name in ("a.ndjson", "a.ndjson.gz"):
        with FileSink(tmp_path / name) as sink:
            publish(generate(config()), sink, paced=False)
    assert gzip.decompress((tmp_path / "a.ndjson.gz").read_bytes()) == (tmp_path / "a.ndjson").read_bytes()


def test_every_sighting_has_all_its_fields_and_ids_are_different():
    seen = objects(generate(config(bucket="pictures")))
    assert all(set(sighting) == NEEDED | {"image_url"} for sighting in seen)
    assert len({sighting["event_id"] for sighting in seen}) == len(seen)
    assert all(sighting["camera_id"] in NETWORK.cameras for sighting in seen)
    assert all(tuple(sighting["location"]) == NETWORK.cameras[sighting["camera_id"]] for sighting in seen)
    assert all(0 <= sighting["plate_confidence"] <= 1 for sighting in seen)


def test_names_of_pictures_do_not_tell_the_plate_and_without_a_bucket_there_are_none():
    for sighting in objects(generate(config(bucket="pictures"))):
        assert sighting["image_url"].startswith("gs://pictures/")
        assert sighting["plate"] not in sighting["image_url"]
    assert all("image_url" not in sighting for sighting in objects(generate(config())))


def test_what_the_truth_counts_is_what_was_published():
    scenario = generate(config(vehicles=2000, faults=FAULTS))
    _, summary = passages_and_summary(scenario)
    seen = objects(scenario)
    broken = [s for s in seen if s is None or s.get("event_id", "malformed").startswith("malformed")]
    right = [s for s in seen if s is not None and not s.get("event_id", "malformed").startswith("malformed")]
    times = Counter(sighting["event_id"] for sighting in right)
    assert summary.malformed == len(broken) > 0
    assert summary.sightings == len(right)
    assert summary.duplicates == sum(times.values()) - len(times) > 0
    assert summary.vehicles == 2000
    assert summary.complete


def test_no_fault_loses_a_true_sighting():
    plain, faulty = generate(config()), generate(config(faults=dict.fromkeys(FAULTS, 0.3)))
    ids = {sighting["event_id"] for sighting in objects(plain)}
    assert ids == {
        s["event_id"] for s in objects(faulty) if s and "camera_id" in s and s["camera_id"] in NETWORK.cameras
    }


def test_true_passages_follow_from_the_sightings():
    scenario = generate(config(vehicles=400))
    by_id = {sighting["event_id"]: sighting for sighting in objects(scenario)}
    passages, summary = passages_and_summary(scenario)
    assert summary.passages == len(passages) > 500
    assert summary.violations == sum(passage.over for passage in passages) > 10
    for passage in passages:
        seen = [by_id[event_id] for event_id in passage.event_ids]
        assert [s["camera_id"] for s in seen] == list(NETWORK.sections[passage.section_id].cameras)
        assert {s["vehicle_id"] for s in seen} == {passage.vehicle_id}
        entry, end = (datetime.fromisoformat(seen[i]["timestamp"]) for i in (0, -1))
        assert (seen[0]["timestamp"], seen[-1]["timestamp"]) == (passage.entry_time, passage.exit_time)
        speed = passage.distance_m * 3.6 / (end - entry).total_seconds()
        assert speed == pytest.approx(passage.avg_speed_kmh, abs=1e-9)
        assert passage.over == (passage.avg_speed_kmh > passage.limit_kmh)


def test_the_truth_tells_who_had_turned_off_in_the_section_before():
    """From the published sightings: a vehicle's last one in the section that is of no passage of it."""
    scenario = generate(config(vehicles=3000))
    passages, _ = passages_and_summary(scenario)
    named = {(one.section_id, event_id) for one in passages for event_id in one.event_ids}
    by_vehicle = {}
    for one in objects(scenario):
        by_vehicle.setdefault(one["vehicle_id"], []).append(one)
    for true in passages:
        at_us = int(datetime.fromisoformat(true.entry_time).timestamp() * 1e6)
        alone = [
            at_us - int(datetime.fromisoformat(one["timestamp"]).timestamp() * 1e6)
            for one in by_vehicle[true.vehicle_id]
            if one["camera_id"] in NETWORK.sections[true.section_id].cameras
            and (true.section_id, one["event_id"]) not in named
        ]
        before = [ago_us / 1e6 for ago_us in alone if ago_us > 0]
        assert true.turned_off_s == (pytest.approx(min(before), abs=1e-5) if before else None)
    assert 0 < sum(true.turned_off_s is not None for true in passages) < len(passages) / 10


def test_a_stopped_run_tells_only_what_was_published():
    scenario = generate(config(vehicles=400, faults=FAULTS))
    passages, summary = passages_and_summary(scenario, 300)
    published = [s["event_id"] for s in objects(scenario)[:300] if s and "event_id" in s]
    assert summary.sightings + summary.malformed == 300
    assert not summary.complete
    assert 0 < len(passages) < 400
    assert all(set(passage.event_ids) <= set(published) for passage in passages)


def test_the_bounds_of_messages():
    due_us = np.array([0, 1, 2, 3, 100, 200, 1300], dtype=np.int64)
    assert list(cuts(due_us, 2, 1e9)) == [(0, 2), (2, 4), (4, 6), (6, 7)]
    assert list(cuts(due_us, 100, 100)) == [(0, 5), (5, 6), (6, 7)]
    assert list(cuts(due_us, 100, float("inf"))) == [(0, 7)]


def test_messages_say_the_earliest_time_in_them():
    for message in generate(config(faults={"lateness": 0.2, "disorder": 0.2}, batch=10)).messages():
        times = [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in message.payload.splitlines()]
        assert message.earliest_us == round(min(times).timestamp() * 1e6)


@pytest.mark.parametrize("name", ["duplicates", "disorder", "lateness", "misreads", "missing_pictures", "clock_jitter"])
def test_a_fault_of_sightings_comes_at_its_rate(name):
    scenario, summary = rate_of(name)
    sightings = summary.sightings - summary.duplicates
    assert summary.faults[name] == pytest.approx(0.2 * sightings, rel=0.1)
    assert summary.sightings == scenario.items


def test_malformed_objects_come_at_their_rate_beside_the_sightings():
    _, summary = rate_of("malformed")
    assert summary.malformed == pytest.approx(0.2 * summary.sightings, rel=0.1)


def test_disorder_and_lateness_delay_but_do_not_change():
    for name, least_s, most_s in (("disorder", 0.5, 8), ("lateness", 45, 90)):
        scenario, _ = rate_of(name, vehicles=300)
        feed, crossings = scenario.feed, scenario.crossings
        delay_s = (feed.send_us - crossings.time_us[feed.order]) / 1e6
        delayed = feed.touched[name][feed.order]
        assert (delay_s[~delayed] == 0).all()
        assert delay_s[delayed].min() >= least_s
        assert delay_s[delayed].max() <= most_s


def test_a_misread_differs_in_one_character_and_the_camera_is_less_sure():
    scenario, _ = rate_of("misreads", vehicles=500)
    read, true = scenario.feed.plate, scenario.cast.fleet.plate[scenario.crossings.vehicle]
    wrong = scenario.feed.touched["misreads"]
    assert (read[~wrong] == true[~wrong]).all()
    for one, other in zip(read[wrong].tolist(), true[wrong].tolist(), strict=True):
        assert sum(a != b for a, b in zip(one, other, strict=True)) == 1
    assert scenario.feed.confidence[wrong].max() <= 0.9
    assert scenario.feed.confidence[wrong].mean() < scenario.feed.confidence[~wrong].mean() - 0.1


def test_a_plate_without_lookalikes_is_read_short():
    assert misread_plate("AHJ4479".replace("7", "4"), np.random.default_rng(1)) == "AHJ444"


def test_near_twins_follow_each_other_and_differ_in_one_character():
    scenario, _ = rate_of("near_twins", vehicles=1000)
    cast = scenario.cast
    assert 0.2 < cast.twinned.mean() < 0.45
    for follower in np.flatnonzero(cast.twinned):
        one, other = cast.fleet.plate[follower], cast.fleet.plate[cast.twin_of[follower]]
        assert sum(a != b for a, b in zip(str(one), str(other), strict=True)) == 1
    assert len(set(cast.fleet.plate.tolist())) == 1000


def test_a_misread_twin_is_read_as_its_twin():
    scenario = generate(config(vehicles=1000, faults={"near_twins": 0.3, "misreads": 0.3}))
    rows = np.flatnonzero(scenario.feed.touched["misreads"] & scenario.feed.touched["near_twins"])
    twins = scenario.cast.twin_of[scenario.crossings.vehicle[rows]]
    assert len(rows) > 50
    assert (scenario.feed.plate[rows] == scenario.cast.fleet.plate[twins]).all()


def test_cloned_plates_come_at_their_rate_on_several_vehicles():
    scenario, _ = rate_of("cloned_plates", 0.05, vehicles=2000)
    plates = Counter(scenario.cast.fleet.plate.tolist())
    shared = {plate for plate, times in plates.items() if times > 1}
    assert 2000 - len(plates) == pytest.approx(100, rel=0.35)
    assert {str(p) for p in scenario.cast.fleet.plate[scenario.cast.cloned]} == shared


def test_shifted_clock_stamps_its_camera_alone_from_then_on():
    plain = generate(config(vehicles=300))
    shifted = generate(config(vehicles=300, clock_shift=ClockShift("FIRST-26", -2.0, 60.0)))
    touched = shifted.feed.touched["clock_shift"]
    assert (shifted.feed.stamped_us - plain.feed.stamped_us == np.where(touched, -2_000_000, 0)).all()
    crossings = shifted.crossings
    assert (touched == ((crossings.camera == crossings.cameras.index("FIRST-26")) & (crossings.time_us >= 60e6))).all()
    assert 0 < touched.sum() < (crossings.camera == crossings.cameras.index("FIRST-26")).sum()
    true, other = (list(scenario.truth()) for scenario in (plain, shifted))
    assert [one.travel_time_s for one in true[:-1]] == [one.travel_time_s for one in other[:-1]]
    assert {one.section_id for one in other[:-1] if "clock_shift" in one.faults} >= {"first-20-26", "first-26-34"}
    assert other[-1].faults["clock_shift"] == touched.sum()


def test_clock_jitter_is_small_and_the_truth_keeps_the_true_time():
    scenario, _ = rate_of("clock_jitter", vehicles=500)
    off_us = scenario.feed.stamped_us - scenario.crossings.time_us
    assert (off_us[~scenario.feed.touched["clock_jitter"]] == 0).all()
    assert 0 < abs(off_us).max() <= 60_000
    plain = passages_and_summary(generate(config(vehicles=500)))[0]
    jittered = passages_and_summary(scenario)[0]
    assert [p.avg_speed_kmh for p in plain] == [p.avg_speed_kmh for p in jittered]


def test_a_missing_picture_is_not_named_or_does_not_exist():
    scenario, _ = rate_of("missing_pictures", vehicles=500)
    missing = scenario.feed.touched["missing_pictures"]
    assert not scenario.feed.picture[missing].any()
    assert scenario.feed.picture[~missing].all()
    assert 0.3 < scenario.feed.url[missing].mean() < 0.7


def test_every_malformed_object_is_wrong_in_itself():
    for number, write in enumerate(MALFORMED):
        try:
            found = msgspec.json.decode(write(number))
        except msgspec.DecodeError:
            continue
        assert (
            not isinstance(found.get("vehicle_id"), str)
            or not isinstance(found["speed"], float)
            or found["speed"] < 0
            or not isinstance(found["location"], list)
            or found["location"][0] > 90
            or found["timestamp"].startswith("1970")
            or found.get("camera_id") == "no-such-camera"
        )
    assert len(malformed_objects(50, np.random.default_rng(1))) == 50


def test_faults_leave_the_traffic_as_it_is():
    plain, faulty = generate(config()), generate(config(faults={"disorder": 0.5, "misreads": 0.5}))
    assert (plain.crossings.time_us == faulty.crossings.time_us).all()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_turned_off_leaves_the_others_as_they_are(name):
    rates = dict.fromkeys(FAULTS, 0.1)
    every, fewer = generate(config(faults=rates)), generate(config(faults={k: rates[k] for k in rates if k != name}))
    others = [other for other in every.feed.touched if other not in {name, "near_twins", "cloned_plates"}]
    assert others
    for other in others:
        assert (every.feed.touched[other] == fewer.feed.touched[other]).all()


@pytest.mark.parametrize(
    ("rate", "flow", "haste"),
    [(None, 0.8, 1), (0, 0.8, float("inf")), (0.5, 0.5, 1), (1.2, 1.2, 1), (80, 0.8, 100)],
)
def test_a_rate_no_road_carries_is_natural_traffic_played_faster(rate, flow, haste):
    assert flow_and_haste(rate, 2) == pytest.approx((flow, haste))


@pytest.mark.parametrize("rate", [None, 0, 100])
def test_live_sightings_are_never_ahead_of_their_publishing(rate):
    now_us = 1_800_000_000_000_000
    scenario = begin_at(generate(config(rate=rate)), now_us)
    start_us = scenario.config.start_us
    for message in scenario.messages():
        published_us = now_us + (message.due_us - start_us) / scenario.haste
        times = [datetime.fromisoformat(json.loads(line)["timestamp"]) for line in message.payload.splitlines()]
        assert max(times).timestamp() * 1e6 <= published_us + 1


def test_pictures_of_speeders_cover_all_whom_a_reader_could_suspect():
    scenario = generate(config(vehicles=1000, faults=FAULTS, bucket="b", pictures=Pictures.SPEEDERS))
    ordered = {order.name.split("/")[-1] for message in scenario.messages() for order in message.pictures}
    passages, _ = passages_and_summary(scenario)
    wanted = {e for p in passages if p.over for e in p.event_ids}
    missing = {f"{row:06d}" for row in np.flatnonzero(scenario.feed.touched["missing_pictures"])}
    assert {e for e in wanted if e.split("-")[-1] not in missing} <= {name.removesuffix(".jpg") for name in ordered}
    assert len(ordered) < 0.5 * len(scenario.feed.plate)


def test_edem_messages_have_exactly_three_keys_and_ten_points_from_end_to_end():
    seen = objects(generate(edem()))
    assert all(list(point) == ["vehicle_id", "speed", "location"] for point in seen)
    assert set(Counter(point["vehicle_id"] for point in seen).values()) == {POINTS}
    assert len({point["vehicle_id"] for point in seen}) == 200
    assert seen[0]["location"] == [40.76, -73.97]
    assert seen[POINTS - 1]["location"] == [40.75, -73.98]


def test_edem_sends_one_point_a_message_within_milliseconds_without_a_time():
    messages = list(generate(edem(vehicles=3, rate=2)).messages())
    assert len(messages) == 3 * POINTS
    assert messages[POINTS - 1].due_us - messages[0].due_us < 5_000
    assert messages[POINTS].due_us - messages[0].due_us == 500_000
    assert all(message.earliest_us is None and message.payload.startswith(b"{") for message in messages)
    assert len(list(generate(edem(vehicles=3, batch=10)).messages())) == 3


def test_edem_speeds_are_drawn_as_edem_draws_them():
    speeds = generate(edem(vehicles=3000)).speeds_kmh
    assert speeds.min() >= 25
    assert speeds.max() <= 90
    assert (speeds < 40).mean() == pytest.approx(0.75, abs=0.01)
    assert abs(np.corrcoef(speeds[:, 0], speeds[:, 1])[0, 1]) < 0.06


def test_edem_truth_is_length_over_the_time_of_the_legs():
    scenario = generate(edem(vehicles=50))
    passages, summary = passages_and_summary(scenario)
    seen = objects(scenario)
    for number, passage in enumerate(passages):
        points = seen[number * POINTS : (number + 1) * POINTS]
        leg_m = passage.distance_m / (POINTS - 1)
        travel_s = sum(leg_m * 3.6 / point["speed"] for point in points[:-1])
        assert passage.vehicle_id == points[0]["vehicle_id"]
        assert passage.avg_speed_kmh == pytest.approx(passage.distance_m * 3.6 / travel_s)
        assert passage.travel_time_s == pytest.approx(travel_s, abs=1e-6)
        assert (passage.basis, passage.plate) == ("point_speeds", None)
    assert (summary.sightings, summary.vehicles, summary.malformed) == (500, 50, 0)


def test_fining_edem_s_traffic_on_the_mean_of_speeds_would_fine_about_half_of_it_and_on_the_truth_a_sixth():
    scenario = generate(edem(vehicles=5000, limit_kmh=40.0))
    assert (scenario.speeds_kmh.mean(axis=1) > 40).mean() == pytest.approx(0.51, abs=0.03)
    assert (scenario.avg_speed_kmh > 40).mean() == pytest.approx(0.16, abs=0.02)


def test_edem_malformed_objects_are_beside_the_points():
    scenario = generate(edem(vehicles=500, faults={"malformed": 0.02}))
    _, summary = passages_and_summary(scenario)
    assert summary.malformed == pytest.approx(100, rel=0.4)
    assert summary.sightings == 5000
    assert len(objects(scenario)) == scenario.items == 5000 + summary.malformed


def test_edem_pictures_are_named_by_the_vehicle_and_their_plate_is_in_the_truth(tmp_path):
    scenario = generate(edem(vehicles=12, pictures=Pictures.SPEEDERS))
    with FileSink(tmp_path / "e.ndjson") as sink:
        progress = publish(scenario, sink, store=FolderStore(tmp_path / "cars", "--cars_dir"), paced=False)
    known = {p.vehicle_id for p in passages_and_summary(scenario)[0] if p.plate}
    assert {path.stem for path in (tmp_path / "cars").iterdir()} == known
    assert progress.pictures == len(known) > 0
    assert {p.vehicle_id for p in passages_and_summary(scenario)[0] if p.over} <= known
    assert all(path.read_bytes().startswith(b"\xff\xd8") for path in (tmp_path / "cars").iterdir())


def test_a_line_without_length_is_refused():
    with pytest.raises(GeneratorError, match="two different points"):
        generate(edem(final=(40.76, -73.97)))


def test_a_network_of_radar_tracks_only_is_refused():
    track = parse_network("sections: [{id: t, line: [[40.7, -73.9], [40.8, -73.9]], limit: 40 km/h}]")
    with pytest.raises(GeneratorError, match="no section between cameras"):
        generate(config(network=track))
