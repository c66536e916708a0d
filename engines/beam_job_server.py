"""Beam's own job server, without its loss of data."""

from __future__ import annotations

import sys

from apache_beam.runners.portability import local_job_service_main

from pipeline import job_server

if __name__ == "__main__":
    job_server.keep_all_data()
    local_job_service_main.run(sys.argv[1:])
