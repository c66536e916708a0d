"""The one place that knows where Google's services are: in the cloud, or at the addresses in the environment.

PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST and BIGQUERY_EMULATOR_HOST are honoured by Google's own clients;
VISION_EMULATOR_HOST (host:port) is ours, since the Vision client has none.
"""

from __future__ import annotations

import os

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, pubsub_v1, storage, vision
from google.cloud.vision_v1.services.image_annotator.transports import ImageAnnotatorGrpcTransport


def publisher() -> pubsub_v1.PublisherClient:
    """A Pub/Sub publisher."""
    return pubsub_v1.PublisherClient()


def subscriber() -> pubsub_v1.SubscriberClient:
    """A Pub/Sub subscriber."""
    return pubsub_v1.SubscriberClient()


def storage_client(project: str | None = None) -> storage.Client:
    """A Cloud Storage client."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client(project=project or "local", credentials=AnonymousCredentials())
    return storage.Client(project=project)


def bigquery_client(project: str | None = None) -> bigquery.Client:
    """A BigQuery client."""
    if os.environ.get("BIGQUERY_EMULATOR_HOST"):
        return bigquery.Client(project=project or "local", credentials=AnonymousCredentials())
    return bigquery.Client(project=project)


def vision_client() -> vision.ImageAnnotatorClient:
    """A Vision client."""
    address = os.environ.get("VISION_EMULATOR_HOST")
    if not address:
        return vision.ImageAnnotatorClient()
    return vision.ImageAnnotatorClient(transport=ImageAnnotatorGrpcTransport(channel=grpc.insecure_channel(address)))
