"""Vision: ImageAnnotator.BatchAnnotateImages over gRPC, read by the OCR of this package.

What is wrong with one picture is an error inside its response, as the real service answers; the call itself fails only
for a malformed request. https://cloud.google.com/vision/docs/reference/rpc/google.cloud.vision.v1
"""

import asyncio
import io
import os
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from urllib.parse import quote

import grpc
from google.cloud.vision_v1 import types
from PIL import Image

from localcloud import ocr
from localcloud.annotations import annotate
from localcloud.proto import Proto
from localcloud.serving import ServiceArgs

MAX_IMAGES = 16
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_REQUEST_BYTES = 40 * 1024 * 1024
READ_TIMEOUT_S = 10
THREADS_VARIABLE = "VISION_THREADS"
# For tests of callers: "RESOURCE_EXHAUSTED:3" makes the first three calls fail with that status.
FAULTS_VARIABLE = "VISION_FAULTS"

BatchRequest = types.BatchAnnotateImagesRequest.pb()
BatchResponse = types.BatchAnnotateImagesResponse.pb()
ImageResponse = types.AnnotateImageResponse.pb()
TEXT_FEATURES = {types.Feature.Type.TEXT_DETECTION, types.Feature.Type.DOCUMENT_TEXT_DETECTION}


class ImageError(Exception):
    """Why one picture was not read: a google.rpc code and the service's words."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.number: int = code.value[0]
        self.message = message


def faults(text: str) -> Iterator[grpc.StatusCode]:
    """The statuses to fail with, one a call: "UNAVAILABLE:2" is twice UNAVAILABLE. Raises ValueError for other text."""
    if not text:
        return iter(())
    name, _, count = text.partition(":")
    if name not in grpc.StatusCode.__members__ or not count.isdigit():
        raise ValueError(f"{FAULTS_VARIABLE}: found {text!r}; allowed: STATUS:COUNT, for example RESOURCE_EXHAUSTED:3")
    return iter([grpc.StatusCode[name]] * int(count))


class Annotator:
    """The handler of the method; its calls run on the threads of one pool."""

    def __init__(self, storage_url: str | None, failures: Iterator[grpc.StatusCode]) -> None:
        self._storage_url = storage_url
        self._failures = failures
        self._failures_lock = threading.Lock()

    def batch_annotate_images(self, request: Proto, context: grpc.ServicerContext) -> Proto:
        if len(request.requests) > MAX_IMAGES:
            message = f"Too many images per request. Found {len(request.requests)}; the limit is {MAX_IMAGES}."
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, message)
        if any(not one.features for one in request.requests):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Request must specify image and features.")
        if request.requests:
            self._fail_if_told_to(context)
        return BatchResponse(responses=[self._annotate_image(one) for one in request.requests])

    def _fail_if_told_to(self, context: grpc.ServicerContext) -> None:
        with self._failures_lock:
            status = next(self._failures, None)
        if status is not None:
            context.abort(status, f"told to fail by {FAULTS_VARIABLE}")

    def _annotate_image(self, request: Proto) -> Proto:
        try:
            require_text_feature(request)
            image = decoded(self._image_bytes(request.image))
        except ImageError as error:
            return ImageResponse(error={"code": error.number, "message": error.message})
        return annotate(ocr.read(image), image.width, image.height)

    def _image_bytes(self, image: Proto) -> bytes:
        uri = image.source.image_uri or image.source.gcs_image_uri
        # As documented: content takes precedence over source.
        if image.content or not uri:
            return bytes(image.content)
        if uri.startswith("gs://"):
            return self._object_bytes(uri)
        raise ImageError(
            grpc.StatusCode.PERMISSION_DENIED,
            "We're not allowed to access the URL on your behalf. Please download the content and pass it in.",
        )

    def _object_bytes(self, uri: str) -> bytes:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        if not bucket or not name:
            raise ImageError(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid Cloud Storage URI: {uri}")
        if self._storage_url is None:
            raise ImageError(
                grpc.StatusCode.UNAVAILABLE, f"Error opening file: {uri} (STORAGE_EMULATOR_HOST is not set)"
            )
        url = f"{self._storage_url}/storage/v1/b/{quote(bucket)}/o/{quote(name, safe='')}?alt=media"
        try:
            with urllib.request.urlopen(url, timeout=READ_TIMEOUT_S) as response:  # noqa: S310 (local storage)
                return bytes(response.read(MAX_IMAGE_BYTES + 1))
        except urllib.error.HTTPError as error:
            code = grpc.StatusCode.NOT_FOUND if error.code == 404 else grpc.StatusCode.PERMISSION_DENIED
            raise ImageError(code, f"Error opening file: {uri}.") from None
        except OSError:
            raise ImageError(grpc.StatusCode.UNAVAILABLE, f"Error opening file: {uri}.") from None


def require_text_feature(request: Proto) -> None:
    if not TEXT_FEATURES & {feature.type_ for feature in request.features}:
        raise ImageError(grpc.StatusCode.UNIMPLEMENTED, "This local server does text detection only.")


def decoded(content: bytes) -> Image.Image:
    """The picture in these bytes. Raises ImageError as the service words it."""
    if len(content) > MAX_IMAGE_BYTES:
        raise ImageError(grpc.StatusCode.INVALID_ARGUMENT, "Image size exceeds the limit of 20 MB.")
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        raise ImageError(grpc.StatusCode.INVALID_ARGUMENT, "Bad image data.") from None
    return image


@asynccontextmanager
async def serving(args: ServiceArgs) -> AsyncIterator[None]:
    annotator = Annotator(os.environ.get("STORAGE_EMULATOR_HOST"), faults(os.environ.get(FAULTS_VARIABLE, "")))
    threads = int(os.environ.get(THREADS_VARIABLE, "2"))
    # The models are loaded before the first call, so the first answer already proves that they are there.
    await asyncio.to_thread(ocr.warm_up)
    pool = ThreadPoolExecutor(threads)
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MAX_REQUEST_BYTES)]
    server = grpc.server(pool, options=options)
    method = grpc.unary_unary_rpc_method_handler(
        annotator.batch_annotate_images, BatchRequest.FromString, BatchResponse.SerializeToString
    )
    handlers = {"BatchAnnotateImages": method}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("google.cloud.vision.v1.ImageAnnotator", handlers),)
    )
    server.add_insecure_port(args.address)
    server.start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop(grace=1).wait)
