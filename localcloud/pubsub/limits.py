"""What Pub/Sub accepts. https://cloud.google.com/pubsub/quotas#resource_limits

One limit is smaller here: a message may have 4 MB, with the real service 10 MB. From an emulator's address Google's
Python client receives no more than gRPC's default of 4 MiB at once; a larger message would come back for ever and hold
up its subscription.
"""

import re

import grpc

from localcloud.proto import Proto

MAX_REQUEST_BYTES = 10_000_000
CLIENT_RECEIVES_BYTES = 4 * 1024 * 1024
# Leaves room for what delivery adds: ids, times, and where a dead letter comes from.
MAX_MESSAGE_BYTES = 4_000_000
MAX_MESSAGES = 1000
MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1024
MAX_ORDERING_KEY_BYTES = 1024
MAX_PAGE = 1000
DEFAULT_ACK_DEADLINE_S = 10
DEFAULT_RETENTION_S = 7 * 86_400
DEFAULT_DELIVERY_ATTEMPTS = 5
DEFAULT_EXPIRY_S = 31 * 86_400

_NAME = re.compile(r"projects/([a-z0-9][a-z0-9:.-]*)/(topics|subscriptions)/([A-Za-z][A-Za-z0-9\-_.~+%]{2,254})")


class PubSubError(Exception):
    """What the service answers: a status and a text."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> PubSubError:
    return PubSubError(grpc.StatusCode.INVALID_ARGUMENT, message)


def check_name(kind: str, name: str) -> None:
    """Raise unless the name is projects/P/topics/T (kind "topics") or the same for "subscriptions"."""
    match = _NAME.fullmatch(name)
    if match is None or match.group(2) != kind or match.group(3).startswith("goog"):
        raise invalid(
            f"Invalid [{kind}] name: (name={name}); allowed: projects/PROJECT/{kind}/ID, where ID has 3 to 255 of the "
            "characters A-Z a-z 0-9 - _ . ~ + %, begins with a letter and not with goog"
        )


def check_publish(request: Proto) -> None:
    """Raise if the request or one of its messages is more than the service takes, or a message is empty."""
    size = request.ByteSize()
    if size > MAX_REQUEST_BYTES:
        raise invalid(
            f"The value for request_size is too large. You passed {size} in the request, but the maximum value is"
            f" {MAX_REQUEST_BYTES}."
        )
    if not 1 <= len(request.messages) <= MAX_MESSAGES:
        raise invalid(f"The value for message_count is {len(request.messages)}; allowed: 1 to {MAX_MESSAGES}.")
    for message in request.messages:
        _check_message(message)
    if size > MAX_MESSAGE_BYTES:
        _check_receivable(max(message.ByteSize() for message in request.messages))


def _check_receivable(size: int) -> None:
    if size > MAX_MESSAGE_BYTES:
        raise invalid(
            f"A message has {size} bytes; this local server takes up to {MAX_MESSAGE_BYTES}, since Google's client "
            f"receives at most {CLIENT_RECEIVES_BYTES} from an emulator; the real service takes up to "
            f"{MAX_REQUEST_BYTES}. Publish smaller batches, or compress them."
        )


def _check_message(message: Proto) -> None:
    attributes = dict(message.attributes)
    if not message.data and not attributes:
        raise invalid("Some messages in the batch are invalid: a message needs data or at least one attribute.")
    if _longer(message.ordering_key, MAX_ORDERING_KEY_BYTES):
        raise invalid(f"The ordering key is longer than {MAX_ORDERING_KEY_BYTES} bytes.")
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(f"A message has {len(attributes)} attributes; allowed: {MAX_ATTRIBUTES}.")
    for key, value in attributes.items():
        if not key or _longer(key, MAX_KEY_BYTES) or key.startswith("goog"):
            raise invalid(f"Attribute key {key[:40]!r}: allowed: 1 to {MAX_KEY_BYTES} bytes, not beginning with goog.")
        if _longer(value, MAX_VALUE_BYTES):
            raise invalid(f"Attribute {key!r}: its value has more than {MAX_VALUE_BYTES} bytes.")


def _longer(text: str, limit_bytes: int) -> bool:
    # A character has at most 4 bytes, so short texts, nearly all there are, need no encoding.
    return len(text) * 4 > limit_bytes and len(text.encode()) > limit_bytes


def complete_subscription(settings: Proto) -> None:
    """Fill in the documented defaults of a subscription, then raise for a value out of its documented range."""
    settings.ack_deadline_seconds = settings.ack_deadline_seconds or DEFAULT_ACK_DEADLINE_S
    if not settings.HasField("message_retention_duration"):
        settings.message_retention_duration.seconds = DEFAULT_RETENTION_S
    if not settings.HasField("expiration_policy"):  # one without a time means never
        settings.expiration_policy.ttl.seconds = DEFAULT_EXPIRY_S
    if settings.HasField("dead_letter_policy"):
        policy = settings.dead_letter_policy
        policy.max_delivery_attempts = policy.max_delivery_attempts or DEFAULT_DELIVERY_ATTEMPTS
        _check_range("dead_letter_policy.max_delivery_attempts", policy.max_delivery_attempts, 5, 100)
        check_name("topics", policy.dead_letter_topic)
    if settings.HasField("retry_policy"):
        _complete_retry_policy(settings.retry_policy)
    _check_range("ack_deadline_seconds", settings.ack_deadline_seconds, 10, 600)
    _check_range("message_retention_duration", settings.message_retention_duration.seconds, 600, 31 * 86_400)
    settings.state = 1


def _complete_retry_policy(policy: Proto) -> None:
    for name, default_s in (("minimum_backoff", 10), ("maximum_backoff", 600)):
        if not policy.HasField(name):
            getattr(policy, name).seconds = default_s
        _check_range(f"retry_policy.{name}", getattr(policy, name).seconds, 0, 600)


def check_supported(settings: Proto) -> None:
    """Raise UNIMPLEMENTED for what only the real service does, rather than accept it and not do it."""
    asked = {
        "push_config": bool(settings.push_config.push_endpoint),
        "bigquery_config": bool(settings.bigquery_config.table),
        "cloud_storage_config": bool(settings.cloud_storage_config.bucket),
        "enable_exactly_once_delivery": settings.enable_exactly_once_delivery,
    }
    for name, wanted in asked.items():
        if wanted:
            raise PubSubError(grpc.StatusCode.UNIMPLEMENTED, f"{name}: this local server does not do it; leave it out")


def check_ack_deadline(seconds: int) -> None:
    _check_range("ack_deadline_seconds", seconds, 0, 600)


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid(f"Invalid {name}: {value}; allowed: {least} to {most}.")
