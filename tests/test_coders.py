"""How records travel: nothing is lost on the way, equal records have equal bytes, nothing is pickled."""

import pickle

import apache_beam as beam
import msgspec
import pytest
from apache_beam.coders import FastPrimitivesCoder, PickleCoder, coders
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import options, secret
from pipeline.enforcement import intake, model, records, revisions
from pipeline.enforcement.lines import PlainWire
from pipeline.jobs import section_speed
from pipeline.transforms.coders import RECORD_TYPES, StructCoder

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBER = st.floats(allow_nan=False)
COUNT = st.integers(-(2**63), 2**63 - 1)
BASE = {
    str: TEXT,
    float: NUMBER,
    int: COUNT,
    bool: st.booleans(),
    bytes: st.binary(max_size=6),
    type(None): st.none(),
    PlainWire: st.sampled_from([
        PlainWire(vehicle_id="A", event_id="e", camera_id="G", timestamp="t"),
        PlainWire(vehicle_id="A", event_id="e", camera_id="G", timestamp="t", location=(40.5, -73.5), lane=2),
    ]),  # its fields have limits
}  # fmt: skip


def values(hint: object) -> st.SearchStrategy:
    """Any value of a field's type."""
    if hint in BASE:
        return BASE[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        fields = {
            field.name: st.deferred(lambda field=field: values(field.type)) for field in msgspec.structs.fields(hint)
        }
        return st.builds(hint, **fields)
    if isinstance(hint, type) and issubclass(hint, str):
        return st.sampled_from(list(hint))
    import types
    import typing

    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return values(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return st.one_of([values(option) for option in arguments])
    if origin is tuple and arguments[-1] is ...:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(argument) for argument in arguments))
    if origin is list:
        return st.lists(values(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    raise TypeError(hint)


@pytest.mark.parametrize("record_type", [*RECORD_TYPES, revisions.History], ids=str)
def test_record_arrives_as_it_was_sent(record_type):
    coder = StructCoder(record_type)

    @settings(max_examples=15, deadline=None)
    @given(values(record_type))
    def travels(record):
        encoded = coder.encode(record)
        assert coder.decode(encoded) == record
        assert coder.encode(coder.decode(encoded)) == encoded

    travels()


def test_equal_messages_have_equal_bytes():
    coder = StructCoder(model.Message)
    one = model.Message(b"x", "m", 1, {"a": "1", "b": "2"})
    other = model.Message(b"x", "m", 1, {"b": "2", "a": "1"})
    assert one == other
    assert coder.encode(one) == coder.encode(other)


def test_every_record_of_the_domain_has_its_coder():
    for module in (model, records, intake, revisions):
        for record_type in vars(module).values():
            if (
                isinstance(record_type, type)
                and issubclass(record_type, msgspec.Struct)
                and record_type in RECORD_TYPES
            ):
                assert beam.coders.registry.get_coder(record_type) == StructCoder(record_type)


def test_coder_travels_to_workers():
    coder = StructCoder(model.Passage)
    assert pickle.loads(pickle.dumps(coder)) == coder
    assert hash(pickle.loads(pickle.dumps(coder))) == hash(coder)
    assert coder != StructCoder(model.Case)


def test_coder_of_a_record_is_deterministic():
    assert StructCoder(model.Passage).is_deterministic()


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x90", b"\xc1", b"{}"])
def test_foreign_bytes_are_refused(data):
    with pytest.raises(msgspec.DecodeError):
        StructCoder(model.Passage).decode(data)


# --- what the graph shuffles

BOUNDED = ("--output_dir=out", "--radar_id=M30", "--evidence_bucket=evidence")
STREAMING = (
    "--input_subscription=sights",
    "--output_topic=fines",
    "--radar_id=M30",
    "--project_id=project-1",
    "--dataset=speed",
    "--rejected_topic=rejected",
    "--publish_all",
    "--streaming",
)


@pytest.fixture(params=["bounded", "streaming"])
def graph(request, tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.ndjson").write_text("")
    found = options.parse(STREAMING if request.param == "streaming" else ("--input=in.ndjson", *BOUNDED))
    pipeline = beam.Pipeline(options=found)
    section_speed.build(pipeline, options.check(found))
    collections: dict[str, beam.PCollection] = {}

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            for tag, collection in node.outputs.items():
                collections[f"{node.full_label} {tag}"] = collection
            if isinstance(node.transform, beam.GroupByKey):
                grouped[node.full_label] = node.inputs[0]

    grouped: dict[str, beam.PCollection] = {}
    pipeline.visit(Visitor())
    return collections, grouped


def parts(coder: coders.Coder) -> list[coders.Coder]:
    inner = list(coder.coders()) if isinstance(coder, coders.TupleCoder) else []
    return [coder, *(part for one in inner for part in parts(one))]


def test_our_own_shuffles_carry_typed_records(graph):
    """Read and write steps of Beam shuffle nothing of ours but lines and counts."""
    _, grouped = graph
    own = [collection for label, collection in grouped.items() if label.startswith("Group sessions")]
    assert len(own) == 1
    for collection in own:
        found = parts(beam.coders.registry.get_coder(collection.element_type))
        assert any(isinstance(coder, StructCoder) for coder in found)
        assert not any(isinstance(coder, PickleCoder | FastPrimitivesCoder) for coder in found)


def test_state_is_kept_as_records():
    from apache_beam.transforms.userstate import ReadModifyWriteStateSpec

    from pipeline.transforms import sessions

    specs = [spec for fn in vars(sessions).values() if isinstance(fn, type) for spec in vars(fn).values()]
    states = [spec for spec in specs if isinstance(spec, ReadModifyWriteStateSpec)]
    assert [type(spec.coder) for spec in states] == [StructCoder]


def test_collections_between_our_steps_are_typed(graph):
    collections, _ = graph
    outer = {
        label: collection
        for label, collection in collections.items()
        if label.split("/")[0] in ("Decode sightings", "Measure passages", "Judge cases")
        and not label.endswith(" None_")
    }
    assert outer
    for label, collection in outer.items():
        found = parts(beam.coders.registry.get_coder(collection.element_type))
        assert not any(isinstance(coder, PickleCoder | FastPrimitivesCoder) for coder in found), (
            label,
            collection.element_type,
        )
