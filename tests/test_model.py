"""Ids of passages, by themselves and many at once."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from pipeline.enforcement.model import ID_NAMESPACE, passage_id, passage_ids

NAMED = st.tuples(st.sampled_from(["s", "a|b", "é"]), st.text(max_size=4), st.integers(-(2**62), 2**62))


@given(st.lists(NAMED, max_size=40))
def test_ids_of_many_passages_are_those_of_each(named):
    section_ids, vehicles, first_us = ([one[place] for one in named] for place in range(3))
    found = passage_ids(section_ids, vehicles, first_us)
    assert found == [passage_id(*one) for one in named]
    assert found == [str(uuid.uuid5(ID_NAMESPACE, f"{len(one[0])}|{one[0]}|{one[1]}|{one[2]}")) for one in named]
