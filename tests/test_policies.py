"""Policies as data: what each shipped one makes of a speed, and what each mistake in a file says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enforcement import policy
from pipeline.enforcement.model import Basis, Outcome, Passage, Reason
from pipeline.enforcement.policies import of_sections, parse_policies
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.survey import SectionError
from pipeline.policies import of_network, shipped

MPH = 1.609344
SHIPPED = shipped()


def passage(kmh: float, limit_kmh: float, basis: Basis = Basis.DISTANCE_TIME, **fields: object) -> Passage:
    speeds = {"avg_speed_kmh": kmh, "min_speed_kmh": kmh, "basis": basis} | fields
    return Passage("p", "s", "A", limit_kmh, 1, 2, 2, **speeds)


def decided(name: str, kmh: float, limit_kmh: float, **fields: object) -> Passage:
    return policy.decide(passage(kmh, limit_kmh, **fields), SHIPPED[name])


# Worked examples: policy, limit, the lowest speed that the evidence allows, what is counted, over or not.
EXAMPLES = [
    ("edem", 40.2336, 40.2336, 40.2336, False),
    ("edem", 40.2336, 40.3, 40.3, True),
    ("edem", 40, 40.0000001, 40.0000001, False),  # nearer than floating point can tell
    ("edem", 40, 40.00001, 40.00001, True),
    # Netherlands: at 80 up to 86, at 100 up to 107, at 120 up to 127, at 130 up to 135 without a fine.
    ("nl", 80, 86.9, 83, False),
    ("nl", 80, 87, 84, True),
    ("nl", 100, 107, 103, False),
    ("nl", 100, 108, 104, True),
    ("nl", 120, 127, 123, False),
    ("nl", 120, 128, 124, True),
    ("nl", 130, 134, 129, False),
    ("nl", 130, 135, 130, False),
    ("nl", 130, 136, 131, True),
    # At 100 km/h three per cent are three; just above it 4 are taken off, since what is left is rounded down.
    ("nl", 90, 99.99, 96, True),
    ("nl", 93, 100, 97, True),
    ("nl", 93, 100.01, 97, True),
    ("nl", 94, 103, 99, True),
    ("nl", 96, 103, 99, False),
    ("nl", 120, 127.83, 123, False),
    ("nl", 120, 127.84, 124, True),
    # Four over at limits up to 120, one over above.
    ("nl", 121, 124.99, 121, False),
    ("nl", 121, 125.99, 122, True),
    # Switzerland: rounded down first, so that 85.99 is 85, less 5 is 80.
    ("ch", 80, 85.99, 80, False),
    ("ch", 80, 86, 81, True),
    ("ch", 100, 106.99, 100, False),
    ("ch", 100, 107, 101, True),
    ("ch", 120, 126.5, 120, False),
    ("ch", 120, 127, 121, True),
    ("ch", 120, 150.99, 144, True),
    ("ch", 120, 151, 144, True),
    # The bands are of whole numbers: 100.99 is 100, and 101 has the same left as 100.
    ("ch", 94, 100, 95, True),
    ("ch", 95, 100.99, 95, False),
    ("ch", 95, 101, 95, False),
    ("ch", 95, 102, 96, True),
    ("ch", 144, 151.99, 144, False),
    ("ch", 144, 152, 145, True),
    # Austria: less 3 km/h; at 100 three per cent are the same; nothing is rounded.
    ("at", 80, 83, 80, False),
    ("at", 50, 53.0, 50, False),
    ("at", 50, 53.01, 50.01, True),
    ("at", 97, 100, 97, False),
    ("at", 97, 100.01, 97.0097, True),
    ("at", 100, 103.09, 99.9973, False),
    ("at", 100, 103.1, 100.007, True),
    ("at", 80, 83.1, 80.1, True),
    ("at", 100, 103, 99.91, False),
    ("at", 130, 134, 129.98, False),
    ("at", 130, 135, 130.95, True),
    # Italy: 140 where 130 is allowed counts as 133, 56 where 50 is allowed as 51.
    ("it", 130, 140, 133, True),
    ("it", 50, 56, 51, True),
    ("it", 50, 55, 50, False),
    ("it", 130, 136.8, 129.96, False),
    ("it", 130, 136.84, 129.998, False),
    ("it", 130, 136.85, 130.0075, True),
    # Five per cent are less than 5 km/h below 100: then 5 km/h, from 100 on the share.
    ("it", 95, 99.99, 94.99, False),
    ("it", 95, 100, 95, False),
    ("it", 95, 100.01, 95.0095, True),
    # New York: more than ten miles per hour over.
    ("nyc", 25 * MPH, 35 * MPH, 35 * MPH, False),
    ("nyc", 25 * MPH, 35.1 * MPH, 35.1 * MPH, True),
    ("nyc", 55 * MPH, 65 * MPH, 65 * MPH, False),
    ("nyc", 55 * MPH, 65.001 * MPH, 65.001 * MPH, True),
]


@pytest.mark.parametrize(("name", "limit_kmh", "kmh", "counted_kmh", "over"), EXAMPLES)
def test_worked_examples(name, limit_kmh, kmh, counted_kmh, over):
    found = decided(name, kmh, limit_kmh)
    assert found.counted_speed_kmh == pytest.approx(counted_kmh, abs=1e-9)
    assert (found.outcome is None) == over
    assert found.outcome in (None, Outcome.CLEAR)
    assert found.policy == name


# What no source names is not there: least length, one fine for a trip, a person each time, amount, days to notice.
NAMED = [
    ("edem", 0, False, False, None, None),
    ("edem-classic", 0, False, True, None, None),
    ("nyc", 0, False, True, 50.0, 14),
    ("nl", 200, True, False, None, None),
    ("ch", 0, False, False, None, None),
    ("at", 0, False, False, None, None),
    ("it", 0, False, True, None, None),
]


@pytest.mark.parametrize(("name", "least_length_m", "per_trip", "reviewed", "amount", "days"), NAMED)
def test_what_the_sources_name_beside_the_speed(name, least_length_m, per_trip, reviewed, amount, days):
    one = SHIPPED[name]
    assert (one.least_length_m, one.one_fine_per_trip, one.always_reviewed) == (least_length_m, per_trip, reviewed)
    assert (one.amount(250.0, 30.0), one.days_to_notice) == (amount, days)


@pytest.mark.parametrize(("length_m", "fits"), [(199.9, False), (200.0, True)])
def test_least_length_is_long_enough(length_m, fits):
    section = Section("s", 50.0, cameras=("A", "B"), length_m=(length_m,))
    if fits:
        assert of_sections(SHIPPED, [section], "nl")["s"].name == "nl"
        return
    with pytest.raises(SectionError, match="at least 200"):
        of_sections(SHIPPED, [section], "nl")


def test_every_shipped_policy_names_its_source_and_has_examples():
    assert set(SHIPPED) == {name for name, *_ in EXAMPLES} | {"edem-classic"}
    assert all(one.sources and one.title for one in SHIPPED.values())


@pytest.mark.parametrize("name", ["nyc", "it", "edem-classic"])
def test_policy_that_has_a_person_look_at_every_case_never_fines_by_itself(name):
    found = decided(name, 150.0, 50.0, mean_of_points_kmh=150.0)
    assert policy.is_suspected(found)
    assert Reason.POLICY_REVIEW in found.reasons


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"edem"}))
def test_speeds_at_points_are_proof_for_the_class_exercise_alone(name):
    found = decided(name, 150.0, 50.0, basis=Basis.POINT_SPEEDS, mean_of_points_kmh=150.0)
    assert Reason.POINT_SPEEDS in found.reasons
    assert decided("edem", 150.0, 50.0, basis=Basis.POINT_SPEEDS).reasons == ()


def test_classic_exercise_compares_the_mean_of_points_with_forty():
    """True speed 38, mean 45: suspected there, and only for a person; under edem nothing."""
    assert policy.is_suspected(decided("edem-classic", 38.0, 40.2336, mean_of_points_kmh=45.0))
    assert decided("edem-classic", 45.0, 40.2336, mean_of_points_kmh=40.0).outcome is Outcome.CLEAR
    assert decided("edem", 38.0, 40.2336, mean_of_points_kmh=45.0).outcome is Outcome.CLEAR


def test_passage_without_points_is_measured_as_ever_under_the_classic_policy():
    """A timed track has no mean of point speeds: it must still end in one outcome."""
    assert decided("edem-classic", 30.0, 40.0).outcome is Outcome.CLEAR
    assert policy.is_suspected(decided("edem-classic", 60.0, 40.0))


def test_fine_of_new_york_is_fifty_dollars():
    new_york = SHIPPED["nyc"]
    assert (new_york.amount(57.0, 40.2336), new_york.currency, new_york.days_to_notice) == (50.0, "USD", 14)
    assert SHIPPED["nl"].amount(150.0, 100.0) is None


def test_suspected_violation_says_what_it_costs():
    suspected, clear = decided("nyc", 60.0, 40.2336), decided("nyc", 40.0, 40.2336)
    assert (suspected.amount, suspected.currency) == (50.0, "USD")
    assert (clear.amount, clear.currency) == (None, "")
    assert (decided("nl", 150.0, 100.0).amount, decided("nl", 150.0, 100.0).currency) == (None, "")


@pytest.mark.parametrize(("counted_kmh", "amount"), [(110.0, None), (110.1, 20.0), (120.0, 20.0), (120.1, 60.0)])
def test_highest_band_that_is_passed_counts(counted_kmh, amount):
    bands = policy.Policy("mine", amounts=(policy.Amount(10.0, 20.0), policy.Amount(20.0, 60.0)), currency="EUR")
    assert bands.amount(counted_kmh, 100.0) == amount


def test_amount_goes_by_the_limit_that_the_policy_goes_by():
    fixed = policy.Policy("mine", fixed_limit_kmh=40.0, amounts=(policy.Amount(0.0, 20.0),))
    assert fixed.amount(45.0, 50.0) == 20.0


@given(st.sampled_from(sorted(set(SHIPPED) - {"edem-classic"})), st.floats(1, 250), st.floats(1, 200))
def test_no_policy_counts_more_than_was_proven_or_suspects_who_kept_the_limit(name, kmh, limit_kmh):
    found = decided(name, kmh, limit_kmh)
    assert found.counted_speed_kmh <= kmh
    assert found.outcome is Outcome.CLEAR or kmh > limit_kmh


@given(
    st.sampled_from(sorted(SHIPPED)), st.floats(1, 250), st.floats(0, 20), st.sampled_from([30, 50, 80, 100, 120, 130])
)
def test_who_was_faster_is_not_suspected_less(name, kmh, more_kmh, limit_kmh):
    """A band may take one km/h more off than the one before it; past that a faster driver never counts less."""
    slow = decided(name, kmh, limit_kmh, mean_of_points_kmh=kmh)
    faster_kmh = kmh + more_kmh + 2.0
    fast = decided(name, faster_kmh, limit_kmh, mean_of_points_kmh=faster_kmh)
    assert not policy.is_suspected(slow) or policy.is_suspected(fast)


# --- in files


def mistake(text: str) -> str:
    with pytest.raises(SectionError) as caught:
        parse_policies(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mine: 7", "policy mine: found '7'; allowed: a mapping of fields."),
        ("mine: {dedcut: []}", "policy mine.dedcut: found 'dedcut'; allowed: only the fields amounts, at_least, "),
        ("mine: {round: up}", "policy mine.round: found 'up'; allowed: down."),
        ("mine: {deduct: [{subtract: 3}]}", "mine.deduct.subtract: found '3'; allowed: a number with its unit"),
        ("mine: {deduct: [3 km/h]}", "policy mine.deduct: found '3 km/h'; allowed: a list of mappings."),
        (
            "mine: {deduct: [{subtract: 3 km/h, above: 1 km/h}]}",
            "policy mine.deduct.above: found 'above'; allowed: only subtract, up_to.",
        ),
        ("mine: {least_length_m: -1}", "policy mine.least_length_m: found '-1'; allowed: a number of at least 0."),
        ("mine: {least_length_m: nan}", "policy mine.least_length_m: found 'nan'"),
        (
            "mine: {amounts: [{more_than: 0 km/h, amount: 50}]}",
            "policy mine.currency: found None; allowed: the currency of the amounts, as in EUR.",
        ),
        ("mine: {amounts: [{more_than: 0 km/h, amount: 50}], currency: ' '}", "policy mine.currency: found ' '"),
        ("mine: {amounts: [{more_than: 0 km/h, amount: 50}], currency: [EUR]}", "policy mine.currency: found ['EUR']"),
        ("mine: {round: [down]}", "policy mine.round: found ['down']; allowed: down."),
        ("mine: {review: {always: yes}}", "policy mine.review: found {'always': 'yes'}; allowed: always or doubts."),
        ("- mine", "file: found 'list'; allowed: a mapping from a policy's name to its fields."),
        ("mine: {round: down, round: down}", "line 1: 'round' is named twice."),
    ],
)
def test_mistakes_are_named(text, told):
    assert mistake(text).startswith(told)


@pytest.mark.parametrize(
    ("field", "bound", "bands"),
    [
        ("deduct", "up_to", "[{subtract: 3 km/h}, {up_to: 100 km/h, subtract: 10 km/h}]"),
        ("deduct", "up_to", "[{up_to: 100 km/h, subtract: 3 km/h}, {up_to: 100 km/h, subtract: 5 km/h}]"),
        ("deduct", "up_to", "[{up_to: 100 km/h, subtract: 3 km/h}, {up_to: 60 mph, subtract: 5 km/h}]"),
        ("deduct", "up_to", "[{subtract: 3 km/h}, {subtract: 3 %}, {up_to: 50 km/h, subtract: 5 km/h}]"),
        ("at_least", "limit_up_to", "[{over: 1 km/h}, {limit_up_to: 120 km/h, over: 4 km/h}]"),
    ],
)
def test_band_that_never_applies_is_refused(field, bound, bands):
    """The first one whose bound is not passed counts."""
    told = mistake(f"mine: {{{field}: {bands}}}")
    assert told.startswith(f"policy mine.{field}[2]: found {{")
    assert told.endswith(
        f"never applies: the one before it counts wherever it would; allowed: {bound} in ascending order, left out in "
        "the last band alone."
    )


def test_bands_may_end_at_a_speed():
    found = parse_policies("mine: {deduct: [{up_to: 50 km/h, subtract: 3 km/h}, {up_to: 100 km/h, subtract: 5 km/h}]}")
    assert [found["mine"].counted_kmh(kmh) for kmh in (50.0, 100.0, 101.0)] == [47.0, 95.0, 101.0]


SHORT = Section("s", 50.0, cameras=("A", "B"), length_m=(150.0,))


def test_section_has_its_own_policy_or_that_of_the_run():
    own = Section("t", 50.0, cameras=("A", "B"), length_m=(500.0,), policy="ch")
    found = of_sections(SHIPPED, [SHORT, own], "edem")
    assert {name: one.name for name, one in found.items()} == {"s": "edem", "t": "ch"}


def test_section_too_short_for_its_policy_is_refused():
    with pytest.raises(SectionError, match=r"section s: length_m: found 150 m; allowed by policy nl: at least 200 m\."):
        of_sections(SHIPPED, [SHORT], "nl")


RADAR = Section("r", 50.0, line=((40.74, -73.99), (40.741, -73.99)))  # 111 m


def test_radar_track_too_short_for_its_policy_is_refused():
    told = r"^section r: line: found 111\.049 m; allowed by policy nl: at least 200 m\. Choose another policy, or give"
    with pytest.raises(SectionError, match=told):
        of_sections(SHIPPED, [RADAR], "nl")
    assert of_sections(SHIPPED, [Section("r", 50.0, line=((40.74, -73.99), (40.742, -73.99)))], "nl")
    assert of_sections(SHIPPED, [RADAR], "edem")


def test_track_without_a_line_has_no_length_that_could_be_too_short():
    assert of_sections(SHIPPED, [Section("r", 50.0)], "nl")["r"].name == "nl"


def test_unknown_policy_is_refused():
    with pytest.raises(SectionError, match=r"--policy: found 'de'; allowed: edem, edem-classic, nyc, "):
        of_sections(SHIPPED, [SHORT], "de")
    with pytest.raises(SectionError, match=r"section s: policy: found 'de'; allowed: "):
        of_sections(SHIPPED, [Section("s", 50.0, policy="de")], "edem")


def test_policy_of_a_file_goes_before_a_shipped_one(tmp_path):
    (tmp_path / "mine.yaml").write_text("edem: {deduct: [{subtract: 5 km/h}], point_speeds: fined}")
    found = of_network(Network({}, {"s": SHORT}, {}), None, str(tmp_path / "mine.yaml"))
    assert found["s"].counted_kmh(45.0) == 40.0
    with pytest.raises(SectionError, match=r"--policies: .*none.yaml cannot be read"):
        of_network(Network({}, {"s": SHORT}, {}), None, str(tmp_path / "none.yaml"))
