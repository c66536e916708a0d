-- Every fine once, with its latest status: issued, review or withdrawn.
-- Of two rows of one revision, the one that is better for the driver: withdrawn, then review.
SELECT *
FROM `dataset.fines`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY fine_id
  ORDER BY revision DESC, CASE status WHEN 'withdrawn' THEN 1 WHEN 'review' THEN 2 ELSE 3 END
) = 1
