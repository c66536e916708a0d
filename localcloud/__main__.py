"""python -m localcloud: keeps the services up until Ctrl-C and prints the variables that point clients at them."""

import argparse
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from localcloud.checks import LocalCloudError
from localcloud.services import DEFAULT_PROJECT, SERVICES, LocalCloud, running

UNREAD = 128 + 13  # as a shell reports an end by SIGPIPE
HABITS = """
# In another shell, after pasting the lines above:
#   gcloud storage ls                              bq --api "$BIGQUERY_EMULATOR_HOST" ls
#   gcloud needs: export CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true CLOUDSDK_CORE_PROJECT="$GOOGLE_CLOUD_PROJECT" \\
#                        CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE="$STORAGE_EMULATOR_HOST/storage/v1/"
#   Pub/Sub speaks gRPC only: use a client library; gcloud pubsub speaks REST and does not reach it.
# Ctrl-C stops the services. Pub/Sub keeps its messages in memory; buckets and tables stay in the data folder."""


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ports = {name: getattr(options, f"port_{name}") for name in SERVICES}
    only = options.only.split(",") if options.only else None
    try:
        with running(options.data_dir, only=only, ports=ports, project=options.project, log=_tell) as cloud:
            if not _printed(cloud):
                return UNREAD
            threading.Event().wait()
    except LocalCloudError as error:
        _tell(str(error))
        return 2
    except KeyboardInterrupt:  # Ctrl-C or SIGTERM, at any moment
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localcloud", description=__doc__)
    parser.add_argument("--data_dir", type=Path, default=Path("out/localcloud"), help="folder of data and logs")
    parser.add_argument("--project", default=DEFAULT_PROJECT, help="project id that clients use")
    parser.add_argument("--only", metavar="NAMES", help=f"some of {','.join(SERVICES)} (default: all)")
    for name in SERVICES:
        parser.add_argument(f"--port_{name}", type=int, default=0, metavar="PORT", help="default: any free one")
    return parser


def _printed(cloud: LocalCloud) -> bool:
    """Print the variables; False if whoever should read them has gone, as with `| true`."""
    exports = [f"export {name}={shlex.quote(value)}" for name, value in cloud.env.items()]
    try:
        print("\n".join([*exports, HABITS]), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        _tell("standard output was closed before the variables were read; stopping the services")
        return False
    return True


def _tell(line: str) -> None:
    print(f"localcloud: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
