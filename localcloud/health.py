"""Is a service up? Asked by a request of its own protocol, not by an open port."""

import http.client
from collections.abc import Callable

TIMEOUT_S = 2.0


def answers_http(path: str, *statuses: int) -> Callable[[str], bool]:
    """A check that GET ``path`` at host:port gives one of ``statuses`` (200 when none is named)."""

    def check(address: str) -> bool:
        connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status in (statuses or (200,))
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def answers_grpc(method: str, request: bytes) -> Callable[[str], bool]:
    """A check that the method, called with this serialized request, answers without an error."""

    def check(address: str) -> bool:
        import grpc  # noqa: PLC0415 (every service process imports this module, few of them need gRPC's 0.2 s)

        with grpc.insecure_channel(address) as channel:
            try:
                channel.unary_unary(method)(request, timeout=TIMEOUT_S)
            except grpc.RpcError:
                return False
            return True

    return check
