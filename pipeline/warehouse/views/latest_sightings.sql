-- Every sighting once, however often it was delivered.
SELECT *
FROM `dataset.sightings`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY camera_id, event_id ORDER BY timestamp) = 1
