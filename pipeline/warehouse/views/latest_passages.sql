-- Every passage once, in its latest revision.
SELECT *
FROM `dataset.passages`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY passage_id ORDER BY revision DESC) = 1
