"""What is held: nothing that was taken back goes out, nothing else is lost, in whatever order it is heard of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_twins import GAP_US, RULES, S_US, T0_US, fast, half, seen

from pipeline.enforcement import holding, twins
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.holding import News, TakenBack, Watch
from pipeline.enforcement.model import AlarmKind, Passage, Reason
from pipeline.enforcement.twins import Reads, Rules, Unmatched

STRETCH = twins.stretch_of("s", T0_US, RULES)
EVER_US = T0_US + 10_000 * S_US


class Section:
    """One stretch, as time goes on."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules, self.reads = rules, list[Unmatched]()
        self.watch, self.out, self.alarms, self.dropped = Watch(), list[Passage](), list[Alarm](), 0

    def hear(self, news: News) -> "Section":
        self.reads += news.reads
        return self._take(holding.hear(self.watch, news))

    def until(self, at_us: int) -> "Section":
        return self._take(holding.release(self.watch, self.reads, at_us, self.rules))

    def look(self) -> "Section":
        return self._take(holding.look(self.watch, STRETCH, self.reads, self.rules))

    def _take(self, step: holding.Step) -> "Section":
        self.watch, self.dropped = step.watch, self.dropped + step.dropped
        self.out += step.suspected
        self.alarms += step.alarms
        return self


def case(revision: int = 1, at_s: float = 0) -> News:
    return News(suspected=replace(fast(at_s), revision=revision))


def back(revision: int, at_s: float = 0) -> News:
    return News(taken_back=TakenBack(fast(at_s).passage_id, revision))


TWIN = News(reads=(half(seen(1, 25, "HTT9067")),))
DUE_US = fast(0).last_us + 2 * GAP_US


def test_held_until_two_gaps_have_passed():
    assert Section().hear(case()).until(DUE_US - 1).out == []
    assert [one.reasons for one in Section().hear(case()).until(DUE_US).out] == [()]


def test_goes_out_once():
    assert len(Section().hear(case()).until(DUE_US).until(DUE_US).hear(case()).until(EVER_US).out) == 1


@pytest.mark.parametrize("order", [(case(), TWIN), (TWIN, case())])
def test_twin_that_comes_while_it_is_held_sends_it_to_a_person(order):
    section = Section()
    for news in order:
        section.hear(news)
    assert [one.reasons for one in section.until(DUE_US).out] == [(Reason.NEAR_TWIN,)]
    assert [alarm.kind for alarm in section.alarms] == [AlarmKind.NEAR_TWIN]


def test_twin_that_comes_later_is_an_alarm():
    section = Section().hear(case()).until(DUE_US).hear(TWIN).look().hear(TWIN).look()
    assert [one.reasons for one in section.out] == [()]
    (alarm,) = section.alarms
    assert (alarm.kind, alarm.passage_ids[0]) == (AlarmKind.NEAR_TWIN, section.out[0].passage_id)


AT_EXIT = RULES._replace(early_sections=frozenset({"s"}))


def test_section_that_decides_at_the_exit_holds_nothing():
    assert [one.reasons for one in Section(AT_EXIT).hear(case()).until(0).out] == [()]


def test_twin_that_is_known_at_the_exit_sends_the_case_to_a_person():
    section = Section(AT_EXIT).hear(TWIN).hear(case()).until(0)
    assert [one.reasons for one in section.out] == [(Reason.NEAR_TWIN,)]
    assert [alarm.kind for alarm in section.alarms] == [AlarmKind.NEAR_TWIN]


def test_twin_that_comes_after_the_exit_was_decided_is_an_alarm_that_names_the_passage():
    section = Section(AT_EXIT).hear(case()).until(0).hear(TWIN).until(EVER_US).look()
    assert [one.reasons for one in section.out] == [()]
    (alarm,) = section.alarms
    assert (alarm.kind, alarm.passage_ids[0]) == (AlarmKind.NEAR_TWIN, section.out[0].passage_id)


def test_revision_after_the_exit_was_decided_is_for_a_person_once_its_twin_is_known():
    section = Section(AT_EXIT).hear(case(1)).until(0).hear(TWIN).hear(case(2)).until(0)
    assert [(one.revision, one.reasons) for one in section.out] == [(1, ()), (2, (Reason.NEAR_TWIN,))]


def test_case_that_is_taken_back_while_it_is_held_never_goes_out():
    section = Section().hear(case(1)).hear(back(2)).until(EVER_US)
    assert (section.out, section.dropped) == ([], 1)


def test_case_whose_withdrawal_came_first_is_never_held():
    section = Section().hear(back(2)).hear(case(1)).until(EVER_US)
    assert (section.out, section.dropped) == ([], 1)


def test_case_that_is_suspected_again_goes_out():
    section = Section().hear(case(1)).hear(back(2)).hear(case(3)).until(EVER_US)
    assert [one.revision for one in section.out] == [3]


def test_only_the_last_revision_goes_out():
    for order in ([case(1), case(2)], [case(2), case(1)]):
        section = Section()
        for news in order:
            section.hear(news)
        assert [one.revision for one in section.until(EVER_US).out] == [2]


def test_revision_after_it_has_gone_out_goes_out_too():
    section = Section().hear(case(1)).until(DUE_US).hear(case(2)).until(DUE_US)
    assert [one.revision for one in section.out] == [1, 2]


def test_case_without_a_plate_is_not_held():
    nobody = replace(fast(0), entry=None, exit=None)
    assert len(Section().hear(News(suspected=nobody)).until(0).out) == 1


def test_next_time_is_that_of_the_first_that_is_held():
    section = Section()
    assert holding.next_due_us(section.watch, RULES) is None
    assert holding.next_due_us(section.hear(case(at_s=7)).hear(case()).watch, RULES) == DUE_US
    assert holding.next_due_us(section.until(DUE_US).watch, RULES) == DUE_US + 7 * S_US
    assert holding.next_due_us(section.until(EVER_US).watch, RULES) is None


@given(st.integers(T0_US, T0_US + 10 * GAP_US))
def test_reads_are_looked_at_within_a_gap(now_us):
    assert now_us < holding.look_us(now_us, RULES) <= now_us + GAP_US
    assert holding.look_us(holding.look_us(now_us, RULES) - 1, RULES) == holding.look_us(now_us, RULES)


def until_us(watch: Watch, now_us: int, rules: Rules = RULES) -> int:
    return holding.remembered(watch, STRETCH, now_us, 100 * S_US, rules).until_us


def test_stretch_is_remembered_from_its_end_and_from_whatever_came_last():
    end_us = (T0_US // RULES.stretch_us + 1) * RULES.stretch_us + 2 * RULES.window_us("s")
    assert until_us(Watch(), T0_US) == end_us + 100 * S_US
    assert until_us(Watch(), end_us + 1) == end_us + 1 + 100 * S_US
    assert until_us(Watch(until_us=EVER_US), T0_US) == EVER_US, "what comes late does not shorten it"


def test_stretch_of_a_section_that_is_no_more_is_forgotten_like_any_other():
    gone = RULES._replace(sections={})
    assert until_us(Watch(), T0_US, gone) > T0_US
    assert holding.look(Watch(), STRETCH, [*TWIN.reads, half(seen(0, 0))], gone).alarms == ()


def test_two_reads_of_one_passage_both_count():
    """A late sighting has moved its exit; in which order a stream tells of both, nobody knows."""
    one, other = (half(seen(1, 25, plate)) for plate in ("HTT9067", "ZZZ9999"))
    other = replace(other, passage_id=one.passage_id, read=replace(other.read, time_us=one.read.time_us + 1))
    for reads in ([one, other], [other, one]):
        section = Section().hear(case()).hear(News(reads=tuple(reads))).until(DUE_US)
        assert [passage.reasons for passage in section.out] == [(Reason.NEAR_TWIN,)]


def test_pair_is_offered_once_both_are_known():
    entry, leaving = News(reads=(half(seen(0, 0)),)), News(reads=(half(seen(1, 20, "HTT9067")),))
    for order in ([entry, leaving], [leaving, entry], [entry, leaving, entry, leaving]):
        section = Section()
        for news in order:
            section.hear(news).look()
        assert [alarm.kind for alarm in section.alarms] == [AlarmKind.POSSIBLE_PAIR]


HEARD = st.lists(
    st.one_of(
        st.builds(case, st.integers(1, 4), st.sampled_from([0, 7])),
        st.builds(back, st.integers(2, 4), st.sampled_from([0, 7])),
        st.builds(
            # Half a second apart: read at both cameras at one time would be two readings of one passage.
            lambda camera, at_s, plate: News(reads=(half(seen(camera, at_s + camera / 2, plate)),)),
            st.integers(0, 1),
            st.integers(0, 60),
            st.sampled_from(["HTT9066", "HTT9067", "HTT906", "KLM4827"]),
        ),
        st.sampled_from([T0_US, DUE_US, DUE_US + 7 * S_US]),  # so far has time gone
    ),
    max_size=12,
)


@settings(max_examples=500, deadline=None)
@given(HEARD)
def test_nothing_that_was_taken_back_goes_out_and_nothing_else_is_lost(heard):
    section, taken_back, known = Section(), dict[str, int](), dict[str, int]()
    for news in [*heard, EVER_US]:
        before = len(section.out)
        if isinstance(news, int):
            section.until(news)
        else:
            section.hear(news)
            if one := news.taken_back:
                taken_back[one.passage_id] = max(one.revision, taken_back.get(one.passage_id, 0))
            if one := news.suspected:
                known[one.passage_id] = max(one.revision, known.get(one.passage_id, 0))
        for passage in section.out[before:]:
            assert passage.revision > taken_back.get(passage.passage_id, 0)
            assert passage.revision == known[passage.passage_id]
    out = [(one.passage_id, one.revision) for one in section.out]
    assert len(set(out)) == len(out)
    still = {(one, revision) for one, revision in known.items() if revision > taken_back.get(one, 0)}
    assert still <= set(out)


@settings(max_examples=300, deadline=None)
@given(HEARD)
def test_what_is_heard_in_time_is_as_if_all_was_there(heard):
    """Without revisions: cases and reads in whatever order."""
    news = [one for one in heard if not isinstance(one, int) and not one.taken_back]
    news = [one for one in news if one.suspected is None or one.suspected.revision == 1]
    section = Section()
    for one in news:
        section.hear(one)
    section.until(EVER_US).look()
    cases = {one.suspected.passage_id: one.suspected for one in news if one.suspected}
    reads = [read for one in news for read in one.reads]
    found = twins.compare(list(cases.values()), Reads(reads), RULES)
    alarms = [*found.alarms, *twins.pairs(STRETCH, Reads(reads), RULES)]
    assert sorted(section.out, key=str) == sorted(found.suspected, key=str)
    assert sorted(alarm.alarm_id for alarm in section.alarms) == sorted({alarm.alarm_id for alarm in alarms})
