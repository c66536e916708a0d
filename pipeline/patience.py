"""How long a service is waited for before a run, and what is said of one that does not answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from google.api_core.exceptions import GatewayTimeout, RetryError, ServiceUnavailable
from google.api_core.retry import Retry

from pipeline import endpoints

PATIENCE_S = 12.0
# What each request of a deployment is made with: Google's own clients try for minutes, and say nothing meanwhile.
PATIENCE: dict[str, Any] = {"timeout": PATIENCE_S, "retry": Retry(initial=0.5, maximum=2.0, timeout=PATIENCE_S)}
START_LOCALLY = "python -m localcloud"
# What network errors say at the end of a long line.
_REFUSAL = re.compile(
    r"Connection refused|Failed to resolve '[^']+'|Name or service not known|[Tt]imed out|Deadline Exceeded"
)


class SilentServiceError(ValueError):
    """A service that did not answer, worded for the person who waited."""


@contextmanager
def told(service: str, name: str) -> Iterator[None]:
    """While `service` is asked for something of this name: raises SilentServiceError if it does not answer."""
    try:
        yield
    except (RetryError, ServiceUnavailable, GatewayTimeout, requests.RequestException) as error:
        cause = error.cause if isinstance(error, RetryError) and error.cause else error
        raise SilentServiceError(
            f"{name}: {service} does not answer: {refusal(cause)}. Try: {remedy(service)}"
        ) from error


def refusal(error: Exception) -> str:
    """Why a service did not answer, in a few words."""
    known = _REFUSAL.search(str(error))
    return known[0] if known else f"{type(error).__name__}: {first_line(error)}"


def first_line(error: Exception) -> str:
    """The beginning of what an error says."""
    return (str(error).splitlines() or [""])[0][:200]


def remedy(service: str) -> str:
    """The command that starts the service here, or shows what is between here and the service there."""
    return START_LOCALLY if endpoints.is_local(service) else f"curl -sSI https://{service}.googleapis.com"
