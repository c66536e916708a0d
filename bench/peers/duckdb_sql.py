"""DuckDB: one SQL statement from file to file."""

from __future__ import annotations

import duckdb

from bench.peers import job

SQL = f"""
COPY (
    WITH seen AS (
        SELECT vehicle_id, timestamp AS time, camera_id
        FROM read_json(
            $source, format = 'newline_delimited',
            columns = {{vehicle_id: 'VARCHAR', timestamp: 'TIMESTAMP', camera_id: 'VARCHAR'}}
        )
    ), marked AS (
        SELECT *, coalesce(
            time - lag(time) OVER vehicle >= INTERVAL {job.GAP_S} SECOND
            OR (camera_id = '{job.ENTRY}' AND lag(camera_id) OVER vehicle = '{job.EXIT}'), false
        ) AS returns
        FROM seen WINDOW vehicle AS (PARTITION BY vehicle_id ORDER BY time)
    ), numbered AS (
        SELECT *, count_if(returns) OVER (PARTITION BY vehicle_id ORDER BY time) AS session FROM marked
    ), passages AS (
        SELECT
            vehicle_id,
            min(time) FILTER (camera_id = '{job.ENTRY}') AS entry_time,
            max(time) FILTER (camera_id = '{job.EXIT}') AS exit_time
        FROM numbered GROUP BY vehicle_id, session
    )
    SELECT *, {job.LENGTH_M} / (epoch_us(exit_time) - epoch_us(entry_time))::DOUBLE * 3.6e6 AS avg_speed
    FROM passages WHERE exit_time > entry_time
) TO '{{target}}' (FORMAT json)
"""  # noqa: S608


def main() -> None:
    """Run it. The target of a COPY cannot be a parameter."""
    source, target = job.paths()
    duckdb.execute(SQL.replace("{target}", target.replace("'", "''")), {"source": source})


if __name__ == "__main__":
    main()
