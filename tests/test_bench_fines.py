"""Who is fined and who should be: one small day of it, through the local services."""

from bench import fines


def test_small_day_has_no_wrong_fine_and_sound_packets(cloud, tmp_path, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    found = fines.day(tmp_path, cloud.env, vehicles=60, seed=8)
    assert found.sightings > 120
    assert found.pictures
    assert (found.score.wrong, found.score.missed) == (0, 0)
    assert found.score.right
    # Each case has its packet, beside it the links of its section's chain.
    assert found.verified["ok"] > found.score.right
    assert set(found.verified) == {"ok"}
    table = fines.table([found])
    assert f"{found.score.right}" in table.splitlines()[1].split()
    assert fines.as_json([found])[0]["right"] == found.score.right
