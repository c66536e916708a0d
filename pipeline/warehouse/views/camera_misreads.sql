-- How often each camera read another plate than a person on the same picture, among the cases that a person decided.
-- readings: pictures on which both read a plate; the same of the reader of plates. Of several decisions on a case, the
-- last one that read the picture counts.
SELECT
  camera_id,
  COUNTIF(camera_right IS NOT NULL) AS readings,
  COUNTIF(NOT camera_right) AS misreads,
  SAFE_DIVIDE(COUNTIF(NOT camera_right), COUNTIF(camera_right IS NOT NULL)) AS misread_rate,
  COUNTIF(text_right IS NOT NULL) AS automatic_readings,
  COUNTIF(NOT text_right) AS automatic_misreads
FROM (
  SELECT reading.camera_id AS camera_id, reading.camera_right AS camera_right, reading.text_right AS text_right
  FROM `dataset.reviews` AS reviews, UNNEST(reviews.readings) AS reading
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY reviews.fine_id, reading.camera_id ORDER BY reviews.decided_at DESC, reviews.review_id
  ) = 1
) AS last_readings
GROUP BY camera_id
ORDER BY camera_id
