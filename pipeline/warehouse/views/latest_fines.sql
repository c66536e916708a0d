-- Every fine once, with its latest status: issued, review or withdrawn.
SELECT *
FROM `dataset.fines`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY fine_id ORDER BY revision DESC) = 1
