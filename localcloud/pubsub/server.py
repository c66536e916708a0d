"""The gRPC face: google.pubsub.v1.Publisher and .Subscriber on one event loop.

A method that is not here answers UNIMPLEMENTED by itself. One loop needs no locks, and batches make it fast enough: the
cost is per message, most of it in protobuf's C code.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.iam.v1.iam_policy_pb2 import TestIamPermissionsRequest, TestIamPermissionsResponse
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from localcloud.proto import Proto
from localcloud.pubsub import limits
from localcloud.pubsub.broker import Broker
from localcloud.pubsub.limits import PubSubError
from localcloud.pubsub.pulling import pull, streaming_pull
from localcloud.serving import ServiceArgs

MAX_RECEIVED_BYTES = 64 * 1024 * 1024
SWEEP_S = 0.1

Handler = Callable[[Broker, Proto], Proto]


def _list_topics(broker: Broker, request: Proto) -> Proto:
    prefix = f"{request.project}/topics/"
    page, token = _page([broker.topics[name] for name in sorted(broker.topics) if name.startswith(prefix)], request)
    return types.ListTopicsResponse.pb()(topics=page, next_page_token=token)


def _list_subscriptions(broker: Broker, request: Proto) -> Proto:
    prefix = f"{request.project}/subscriptions/"
    found = [broker.subscriptions[name].settings for name in sorted(broker.subscriptions) if name.startswith(prefix)]
    page, token = _page(found, request)
    return types.ListSubscriptionsResponse.pb()(subscriptions=page, next_page_token=token)


def _list_topic_subscriptions(broker: Broker, request: Proto) -> Proto:
    broker.topic(request.topic)
    names = [name for name, one in sorted(broker.subscriptions.items()) if one.settings.topic == request.topic]
    page, token = _page(names, request)
    return types.ListTopicSubscriptionsResponse.pb()(subscriptions=page, next_page_token=token)


def _page(items: Sequence[Proto], request: Proto) -> tuple[Sequence[Proto], str]:
    if request.page_token and not request.page_token.isdigit():
        raise limits.invalid(f"Invalid page_token: {request.page_token!r}")
    start = int(request.page_token or 0)
    end = start + (min(request.page_size, limits.MAX_PAGE) or limits.MAX_PAGE)
    return items[start:end], str(end) if end < len(items) else ""


def _delete_topic(broker: Broker, request: Proto) -> Proto:
    broker.delete_topic(request.topic)
    return Empty()


def _delete_subscription(broker: Broker, request: Proto) -> Proto:
    broker.delete_subscription(request.subscription)
    return Empty()


def _publish(broker: Broker, request: Proto) -> Proto:
    broker.topic(request.topic)
    limits.check_publish(request)
    return types.PublishResponse.pb()(message_ids=broker.publish(request.topic, request.messages))


def _acknowledge(broker: Broker, request: Proto) -> Proto:
    broker.subscription(request.subscription).queue.acknowledge(request.ack_ids)
    return Empty()


def _modify_ack_deadline(broker: Broker, request: Proto) -> Proto:
    attached = broker.subscription(request.subscription)
    limits.check_ack_deadline(request.ack_deadline_seconds)
    attached.queue.modify_deadline(broker.clock(), request.ack_ids, request.ack_deadline_seconds)
    return Empty()


def _seek(broker: Broker, request: Proto) -> Proto:
    attached = broker.subscription(request.subscription)
    if not request.HasField("time"):
        raise PubSubError(grpc.StatusCode.UNIMPLEMENTED, "snapshot: this local server seeks to a time only")
    attached.queue.seek(request.time.ToMicroseconds() / 1e6)
    return types.SeekResponse.pb()()


def _test_iam_permissions(broker: Broker, request: Proto) -> Proto:
    """Nobody is kept from anything here; of what does not exist nothing is allowed, which is the documented answer."""
    exists = request.resource in broker.topics or request.resource in broker.subscriptions
    return TestIamPermissionsResponse(permissions=request.permissions if exists else [])


PUBLISHER: dict[str, tuple[Proto, Handler]] = {
    "CreateTopic": (types.Topic, lambda broker, request: broker.create_topic(request)),
    "GetTopic": (types.GetTopicRequest, lambda broker, request: broker.topic(request.topic)),
    "UpdateTopic": (
        types.UpdateTopicRequest,
        lambda broker, request: broker.update_topic(request.topic, request.update_mask),
    ),
    "DeleteTopic": (types.DeleteTopicRequest, _delete_topic),
    "ListTopics": (types.ListTopicsRequest, _list_topics),
    "ListTopicSubscriptions": (types.ListTopicSubscriptionsRequest, _list_topic_subscriptions),
    "Publish": (types.PublishRequest, _publish),
}
SUBSCRIBER: dict[str, tuple[Proto, Handler]] = {
    "CreateSubscription": (types.Subscription, lambda broker, request: broker.create_subscription(request)),
    "GetSubscription": (
        types.GetSubscriptionRequest,
        lambda broker, request: broker.subscription(request.subscription).settings,
    ),
    "UpdateSubscription": (
        types.UpdateSubscriptionRequest,
        lambda broker, request: broker.update_subscription(request.subscription, request.update_mask),
    ),
    "DeleteSubscription": (types.DeleteSubscriptionRequest, _delete_subscription),
    "ListSubscriptions": (types.ListSubscriptionsRequest, _list_subscriptions),
    "Acknowledge": (types.AcknowledgeRequest, _acknowledge),
    "ModifyAckDeadline": (types.ModifyAckDeadlineRequest, _modify_ack_deadline),
    "Seek": (types.SeekRequest, _seek),
}


def handlers(broker: Broker) -> list[grpc.GenericRpcHandler]:
    """The two services over one broker."""
    publisher = {name: _unary(kind, _called(broker, handler)) for name, (kind, handler) in PUBLISHER.items()}
    subscriber = {name: _unary(kind, _called(broker, handler)) for name, (kind, handler) in SUBSCRIBER.items()}

    async def pulled(request: Proto, context: grpc.aio.ServicerContext[Any, Any]) -> Proto:
        async with _answering_errors(context):
            return await pull(broker, request)

    async def streamed(requests: AsyncIterator[Proto], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        async with _answering_errors(context):
            await streaming_pull(broker, requests, context.write)

    subscriber["Pull"] = _unary(types.PullRequest, pulled)
    subscriber["StreamingPull"] = grpc.stream_stream_rpc_method_handler(
        streamed, types.StreamingPullRequest.pb().FromString, _serialized
    )
    permissions = grpc.unary_unary_rpc_method_handler(
        _called(broker, _test_iam_permissions), TestIamPermissionsRequest.FromString, _serialized
    )
    return [
        grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
        grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
        grpc.method_handlers_generic_handler("google.iam.v1.IAMPolicy", {"TestIamPermissions": permissions}),
    ]


def _unary(kind: Proto, method: Callable[..., Awaitable[Proto]]) -> Proto:
    return grpc.unary_unary_rpc_method_handler(method, kind.pb().FromString, _serialized)


def _called(broker: Broker, handler: Handler) -> Callable[..., Awaitable[Proto]]:
    async def method(request: Proto, context: grpc.aio.ServicerContext[Any, Any]) -> Proto:
        async with _answering_errors(context):
            return handler(broker, request)

    return method


@asynccontextmanager
async def _answering_errors(context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[None]:
    try:
        yield
    except PubSubError as error:
        await context.abort(error.code, error.message)


def _serialized(message: Proto) -> bytes:
    return bytes(message.SerializeToString())


@asynccontextmanager
async def serving(args: ServiceArgs) -> AsyncIterator[None]:
    broker = Broker()
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            # Above the limit of the protocol, so that a request over it gets Pub/Sub's own answer.
            ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
            ("grpc.max_send_message_length", MAX_RECEIVED_BYTES),
        ],
    )
    server.add_generic_rpc_handlers(handlers(broker))
    server.add_insecure_port(args.address)
    await server.start()
    sweeping = asyncio.create_task(_sweep_for_ever(broker))
    try:
        yield
    finally:
        sweeping.cancel()
        await server.stop(grace=0.5)


async def _sweep_for_ever(broker: Broker) -> None:
    while True:
        broker.sweep()
        await asyncio.sleep(SWEEP_S)
