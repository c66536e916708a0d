"""Vision through Google's own client: text is read, and what is wrong with a picture is told in its own response."""

import io
import itertools
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.api_core import exceptions
from google.cloud import storage as gcs
from google.cloud import vision
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport
from PIL import Image, ImageDraw, ImageFont

import localcloud
from localcloud import ocr
from localcloud.annotations import words
from localcloud.ocr import TextBox
from localcloud.vision import faults

numbers = itertools.count()


def plate(text="KJR 4821", size=(480, 320)):
    image = Image.new("RGB", size, (90, 90, 90))
    draw = ImageDraw.Draw(image)
    draw.rectangle((90, 120, 390, 210), fill="white")
    draw.text((115, 130), text, font=ImageFont.load_default(52), fill=(10, 10, 80))
    return image


def written(line, at=(10, 100)):
    """A white picture with a line of text."""
    image = Image.new("RGB", (960, 260), "white")
    ImageDraw.Draw(image).text(at, line, font=ImageFont.load_default(24), fill="black")
    return image


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def client_of(cloud, channel):
    return vision.ImageAnnotatorClient(transport=ImageAnnotatorGrpcTransport(channel=channel))


@pytest.fixture(scope="module")
def client(cloud):
    with grpc.insecure_channel(cloud.env["VISION_EMULATOR_HOST"]) as channel:
        yield client_of(cloud, channel)


def as_image(given):
    if isinstance(given, str):
        return vision.Image(source=vision.ImageSource(image_uri=given))
    return vision.Image(content=given) if isinstance(given, bytes) else given


def annotated(client, *images, feature=vision.Feature.Type.TEXT_DETECTION):
    """The response to each image; bytes are content, text is a URI, an Image is itself."""
    features = [vision.Feature(type_=feature)]
    requests = [vision.AnnotateImageRequest(image=as_image(image), features=features) for image in images]
    return client.batch_annotate_images(requests=requests, retry=None, timeout=60).responses


@pytest.fixture
def stored(cloud, monkeypatch):
    """Puts content in a bucket and returns its gs:// URI."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.env["STORAGE_EMULATOR_HOST"])
    bucket = gcs.Client(project="local-project").create_bucket(f"pictures-{next(numbers)}")

    def put(content, name="a folder/car ä.png"):
        bucket.blob(name).upload_from_string(content)
        return f"gs://{bucket.name}/{name}"

    return put


@pytest.fixture(scope="module")
def response(client):
    """The answer to a picture of the plate KJR 4821."""
    (response,) = annotated(client, encoded(plate()))
    return response


class TestText:
    def test_the_first_annotation_is_the_whole_text(self, response):
        assert response.text_annotations[0].description == "KJR 4821"
        assert not response.error.code

    def test_then_there_is_one_annotation_for_each_word_with_its_place(self, response):
        left, right = response.text_annotations[1:]
        assert [left.description, right.description] == ["KJR", "4821"]
        left_x, right_x = ([vertex.x for vertex in word.bounding_poly.vertices] for word in (left, right))
        assert 90 < min(left_x) < max(left_x) <= min(right_x) < max(right_x) < 390

    def test_the_full_text_has_pages_blocks_words_and_symbols_with_confidence(self, response):
        full = response.full_text_annotation
        assert full.text == "KJR 4821"
        (page,) = full.pages
        assert (page.width, page.height) == (480, 320)
        found = page.blocks[0].paragraphs[0].words
        assert ["".join(symbol.text for symbol in word.symbols) for word in found] == ["KJR", "4821"]
        assert all(0.5 < word.confidence <= 1 for word in found)
        breaks = vision.TextAnnotation.DetectedBreak.BreakType
        assert found[0].symbols[-1].property.detected_break.type_ == breaks.SPACE
        assert found[1].symbols[-1].property.detected_break.type_ == breaks.LINE_BREAK

    def test_document_text_detection_reads_too(self, client):
        feature = vision.Feature.Type.DOCUMENT_TEXT_DETECTION
        (response,) = annotated(client, encoded(plate(), "JPEG"), feature=feature)
        assert response.full_text_annotation.text == "KJR 4821"

    def test_a_picture_without_text_gives_an_empty_response(self, client):
        (response,) = annotated(client, encoded(Image.new("RGB", (200, 100), "grey")))
        assert not response.text_annotations
        assert not response.error.code

    @pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
    def test_a_picture_of_any_colour_mode_is_read(self, client, mode):
        kind = "TIFF" if mode == "CMYK" else "PNG"
        (response,) = annotated(client, encoded(plate().convert(mode), kind))
        assert response.text_annotations[0].description == "KJR 4821"


class TestSource:
    @pytest.mark.parametrize("field", ["image_uri", "gcs_image_uri"])
    def test_an_object_is_read_from_storage(self, client, stored, field):
        image = vision.Image(source=vision.ImageSource(**{field: stored(encoded(plate()))}))
        (response,) = annotated(client, image)
        assert response.text_annotations[0].description == "KJR 4821"

    def test_a_missing_object_is_not_found_in_its_response(self, client, stored):
        uri = stored(b"x") + ".missing"
        (response,) = annotated(client, uri)
        assert response.error.code == grpc.StatusCode.NOT_FOUND.value[0]
        assert uri in response.error.message

    def test_a_web_address_is_not_fetched(self, client, cloud):
        (response,) = annotated(client, cloud.env["CARS_API_URL"])
        assert response.error.code == grpc.StatusCode.PERMISSION_DENIED.value[0]

    def test_a_uri_without_an_object_is_an_error_of_its_picture(self, client):
        (response,) = annotated(client, "gs://bucket")
        assert response.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


class TestBadInput:
    @pytest.mark.parametrize(
        "content",
        [b"", b"this is text", encoded(plate())[:2000], encoded(plate(), "JPEG")[:1500], b"\x89PNG\r\n\x1a\n"],
        ids=["empty", "text", "truncated-png", "truncated-jpeg", "header-only"],
    )
    def test_a_bad_picture_is_an_error_of_its_own_response(self, client, content):
        good = encoded(plate())
        before, bad, after = annotated(client, good, content, good)
        assert (bad.error.code, bad.error.message) == (3, "Bad image data.")
        assert before.text_annotations[0].description == after.text_annotations[0].description == "KJR 4821"

    def test_16_images_are_taken_and_17_are_not(self, client):
        assert len(annotated(client, *[b"x"] * 16)) == 16
        with pytest.raises(exceptions.InvalidArgument, match="16"):
            annotated(client, *[b"x"] * 17)

    def test_a_request_without_features_is_invalid_argument(self, client):
        request = vision.AnnotateImageRequest(image=vision.Image(content=b"x"))
        with pytest.raises(exceptions.InvalidArgument):
            client.batch_annotate_images(requests=[request], retry=None, timeout=10)

    def test_another_feature_is_an_error_in_the_response(self, client):
        (response,) = annotated(client, encoded(plate()), feature=vision.Feature.Type.FACE_DETECTION)
        assert response.error.code == grpc.StatusCode.UNIMPLEMENTED.value[0]


class TestFaults:
    def test_told_to_it_fails_so_many_calls_and_then_works(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VISION_FAULTS", "RESOURCE_EXHAUSTED:2")
        with (
            localcloud.running(tmp_path, only=["vision"]) as cloud,
            grpc.insecure_channel(cloud.env["VISION_EMULATOR_HOST"]) as channel,
        ):
            client = client_of(cloud, channel)
            for _ in range(2):
                with pytest.raises(exceptions.ResourceExhausted):
                    annotated(client, b"x")
            assert len(annotated(client, b"x")) == 1

    @pytest.mark.parametrize("text", ["SOMETIMES:1", "UNAVAILABLE", "UNAVAILABLE:many"])
    def test_other_words_are_refused_with_what_is_allowed(self, text):
        with pytest.raises(ValueError, match="RESOURCE_EXHAUSTED:3"):
            faults(text)


class TestReading:
    def test_arrays_and_pictures_are_read_alike(self):
        image = plate()
        from_picture, from_array = ocr.read(image), ocr.read(np.asarray(image))
        assert [box.text for box in from_picture] == [box.text for box in from_array] == ["KJR 4821"]

    def test_the_polygon_lies_around_the_text(self):
        (box,) = ocr.read(plate())
        (left, top), (right, bottom) = box.polygon.min(axis=0), box.polygon.max(axis=0)
        assert 90 < left < 130
        assert 300 < right < 390
        assert 110 < top < 150
        assert 160 < bottom < 215

    def test_text_that_runs_upwards_is_read(self):
        (box,) = ocr.read(plate().transpose(Image.Transpose.ROTATE_90))
        assert box.text.endswith("4821")
        assert np.ptp(box.polygon[:, 1]) > 3 * np.ptp(box.polygon[:, 0])

    def test_long_line_is_read_to_its_end(self):
        line = "SECTION 12 NORTHBOUND CAMERA G1 LANE 3 SEQUENCE 000481516 SPEED 62"
        assert [box.text.replace(" ", "") for box in ocr.read(written(line))] == [line.replace(" ", "")]

    def test_lines_come_from_top_to_bottom_and_from_left_to_right(self):
        image = written("LEFT", at=(30, 60))
        for text, at in (("RIGHT", (420, 66)), ("BELOW", (30, 200)), ("ABOVE", (300, 8))):
            ImageDraw.Draw(image).text(at, text, font=ImageFont.load_default(32), fill="black")
        assert [box.text for box in ocr.read(image)] == ["ABOVE", "LEFT", "RIGHT", "BELOW"]

    def test_threads_read_alike_at_the_same_time(self):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(ocr.read, [plate(), plate("APX 3905")] * 4))
        assert [box.text for boxes in found for box in boxes] == ["KJR 4821", "APX 3905"] * 4

    def test_words_share_a_box_in_proportion_to_their_letters(self):
        box = TextBox("AB CDE", 0.9, np.array([[0, 0], [60, 0], [60, 10], [0, 10]], dtype=float))
        spans = [(word, polygon[:, 0].min(), polygon[:, 0].max()) for word, polygon in words(box)]
        assert spans == [("AB", 0, 20), ("CDE", 30, 60)]
