-- Every fine once, with its latest status: issued, review or withdrawn.
-- Of two rows of one revision, the one that is better for the driver: withdrawn, then review.
-- What a person has rejected is withdrawn, whatever comes later.
SELECT fines.* REPLACE (
  fines.is_Ticketed AND rejected.fine_id IS NULL AS is_Ticketed,
  IF(rejected.fine_id IS NULL, fines.status, 'withdrawn') AS status,
  IF(rejected.fine_id IS NULL, fines.reasons, ['rejected_by_a_person']) AS reasons
)
FROM `dataset.fines` AS fines
LEFT JOIN (SELECT DISTINCT fine_id FROM `dataset.reviews` WHERE decision = 'rejected') AS rejected
  ON rejected.fine_id = fines.fine_id
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY fines.fine_id
  ORDER BY fines.revision DESC, CASE fines.status WHEN 'withdrawn' THEN 1 WHEN 'review' THEN 2 ELSE 3 END
) = 1
