"""Provision: make the topics, subscriptions, buckets, dataset, tables and views of a project."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from pipeline.options import OptionError
from pipeline.provision import Resources, provision


def run(argv: Sequence[str]) -> int:
    """Make what does not exist yet and say so, a line for each."""
    parser = argparse.ArgumentParser(prog="python -m pipeline provision", description=__doc__)
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    defaults = Resources.named_after("PROJECT")
    for name in Resources._fields[1:]:
        parser.add_argument(f"--{name}", help=f"default: {getattr(defaults, name)}")
    args = parser.parse_args(argv)
    if not args.project_id:
        raise OptionError("--project_id: absent; needed. Give it, or set GOOGLE_CLOUD_PROJECT")
    chosen = {name: found for name in Resources._fields[1:] if (found := getattr(args, name))}
    for line in provision(Resources.named_after(args.project_id)._replace(**chosen)):
        print(line)
    return 0
