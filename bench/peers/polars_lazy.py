"""Polars: one lazy query from file to file."""

from __future__ import annotations

import polars as pl

from bench.peers import job

SCHEMA = {"vehicle_id": pl.String, "timestamp": pl.String, "camera_id": pl.String}


def main() -> None:
    """Sort, number the sessions, and take the ends of each."""
    source, target = job.paths()
    vehicle, time, camera = pl.col("vehicle_id"), pl.col("time"), pl.col("camera_id")
    another = vehicle.ne_missing(vehicle.shift())
    away = time.diff() >= pl.duration(seconds=job.GAP_S)
    enters_again = (camera == job.ENTRY) & (camera.shift() == job.EXIT)
    travel_time_s = (pl.col("exit_time") - pl.col("entry_time")).dt.total_microseconds() / 1e6
    (
        pl.scan_ndjson(source, schema=SCHEMA)
        .select(vehicle, camera, time=pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us"))
        .sort("vehicle_id", "time")
        .with_columns(session=(another | away | enters_again).cum_sum())
        .group_by("session")
        .agg(
            vehicle.first(),
            entry_time=time.filter(camera == job.ENTRY).min(),
            exit_time=time.filter(camera == job.EXIT).max(),
        )
        .filter(pl.col("exit_time") > pl.col("entry_time"))
        .select("vehicle_id", "entry_time", "exit_time", avg_speed=job.LENGTH_M / travel_time_s * 3.6)
        .sink_ndjson(target)
    )


if __name__ == "__main__":
    main()
