"""The one place that knows where Google's services are: in the cloud, or at the addresses in the environment.

PUBSUB_EMULATOR_HOST, STORAGE_EMULATOR_HOST and BIGQUERY_EMULATOR_HOST are honoured by Google's own clients;
VISION_EMULATOR_HOST (host:port) is ours, since the Vision client has none.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, pubsub_v1, storage

if TYPE_CHECKING:
    from google.cloud import vision


def publisher() -> pubsub_v1.PublisherClient:
    """A Pub/Sub publisher."""
    return pubsub_v1.PublisherClient()


def subscriber() -> pubsub_v1.SubscriberClient:
    """A Pub/Sub subscriber."""
    return pubsub_v1.SubscriberClient()


def storage_client(project: str | None = None) -> storage.Client:
    """A Cloud Storage client, the same one for all threads: the local runner sets steps up again for every bundle."""
    return _storage_client(project, os.environ.get("STORAGE_EMULATOR_HOST"))


def storage_address() -> str:
    """Where Cloud Storage answers over HTTP."""
    return os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"


def is_local(service: str) -> bool:
    """Whether `service` (pubsub, storage, bigquery, vision) is one on this machine."""
    return bool(os.environ.get(f"{service.upper()}_EMULATOR_HOST"))


@cache
def _storage_client(project: str | None, address: str | None) -> storage.Client:
    if address:
        return storage.Client(project=project or "local", credentials=AnonymousCredentials())
    return storage.Client(project=project)


def bigquery_client(project: str | None = None) -> bigquery.Client:
    """A BigQuery client, the same one for all threads."""
    return _bigquery_client(project, os.environ.get("BIGQUERY_EMULATOR_HOST"))


@cache
def _bigquery_client(project: str | None, address: str | None) -> bigquery.Client:
    if address:
        return bigquery.Client(project=project or "local", credentials=AnonymousCredentials())
    return bigquery.Client(project=project)


def vision_client() -> vision.ImageAnnotatorClient:
    """A Vision client, the same one for all threads.

    Its package is imported here, for who reads plates: it takes half a second, and Beam needs the other clients anyway.
    """
    return _vision_client(os.environ.get("VISION_EMULATOR_HOST"))


@cache
def _vision_client(address: str | None) -> vision.ImageAnnotatorClient:
    client = importlib.import_module("google.cloud.vision").ImageAnnotatorClient
    if not address:
        return client()
    return client(transport=client.get_transport_class("grpc")(channel=grpc.insecure_channel(address)))
