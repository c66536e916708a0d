"""How shifts of clocks are measured: one case of it, with what it must find."""

from bench import clocks


def test_case_of_a_short_section():
    row = clocks._section(500.0, 40.2336, 1)
    assert row["alarms"]["faster"] == row["in_congestion"]["faster"] == 0
    assert set(row["shifts"]) == {"-0.5 s", "-1 s", "-2 s", "-5 s", "+0.5 s", "+1 s", "+2 s", "+5 s"}
    found = row["shifts"]["-2 s"]
    assert (found["found"], found["all_in_quarantine"]) == (1, 1)
    assert 0 < found["median"] <= clocks.WITHIN
