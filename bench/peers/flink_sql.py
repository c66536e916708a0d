"""Flink SQL through PyFlink, in batch mode. Its session windows are not used: their times have milliseconds only."""

from __future__ import annotations

from pyflink.table import EnvironmentSettings, TableEnvironment

from bench.peers import job

SOURCE = """
CREATE TABLE sightings (vehicle_id STRING, `timestamp` TIMESTAMP_LTZ(6), camera_id STRING)
WITH ('connector' = 'filesystem', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'path' = '{path}')
"""
TARGET = """
CREATE TABLE passages (vehicle_id STRING, entry_time TIMESTAMP(6), exit_time TIMESTAMP(6), avg_speed DOUBLE)
WITH ('connector' = 'filesystem', 'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'path' = '{path}')
"""
SQL = f"""
INSERT INTO passages
SELECT vehicle_id, entry_time, exit_time, {job.LENGTH_M}E0 / (exit_us - entry_us) * 3.6E6
FROM (
    SELECT
        vehicle_id,
        MIN(CASE WHEN camera_id = '{job.ENTRY}' THEN CAST(`timestamp` AS TIMESTAMP(6)) END) AS entry_time,
        MAX(CASE WHEN camera_id = '{job.EXIT}' THEN CAST(`timestamp` AS TIMESTAMP(6)) END) AS exit_time,
        MIN(CASE WHEN camera_id = '{job.ENTRY}' THEN time_us END) AS entry_us,
        MAX(CASE WHEN camera_id = '{job.EXIT}' THEN time_us END) AS exit_us
    FROM (
        SELECT *, SUM(away) OVER (PARTITION BY vehicle_id ORDER BY time_us) AS visit
        FROM (
            SELECT *, CASE
                WHEN time_us - LAG(time_us) OVER (PARTITION BY vehicle_id ORDER BY time_us) >= {job.GAP_S}000000
                    OR (camera_id = '{job.ENTRY}'
                        AND LAG(camera_id) OVER (PARTITION BY vehicle_id ORDER BY time_us) = '{job.EXIT}')
                THEN 1 ELSE 0 END AS away
            FROM (
                SELECT *, EXTRACT(EPOCH FROM `timestamp`) * 1000000 + EXTRACT(MICROSECOND FROM `timestamp`) AS time_us
                FROM sightings
            )
        )
    )
    GROUP BY vehicle_id, visit
)
WHERE exit_us > entry_us
"""  # noqa: S608


def main() -> None:
    """Run it in a cluster of this process, one worker for each core; the target is a folder."""
    source, target = job.paths()
    tables = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    tables.get_config().set("table.local-time-zone", "UTC")
    tables.execute_sql(SOURCE.format(path=source))
    tables.execute_sql(TARGET.format(path=target))
    tables.execute_sql(SQL).wait()


if __name__ == "__main__":
    main()
