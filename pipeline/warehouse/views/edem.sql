-- Every measured passage with EDEM's seven columns.
SELECT
  passages.section_id AS radar_id,
  COALESCE(fines.vehicle_id, passages.vehicle_id) AS vehicle_id,
  passages.avg_speed AS avg_speed,
  passages.coordinates AS coordinates,
  COALESCE(fines.is_Ticketed, FALSE) AS is_Ticketed,
  fines.image_url AS image_url,
  fines.license_plate AS license_plate
FROM `dataset.latest_passages` AS passages
LEFT JOIN `dataset.latest_fines` AS fines
  ON fines.passage_id = passages.passage_id AND fines.status != 'withdrawn'
WHERE passages.avg_speed IS NOT NULL AND passages.outcome != 'unmeasurable'
