-- Every case whose latest revision waits for a person's decision, the oldest first.
-- Deadlines are in the policies, which are no table: python -m pipeline review list orders by them.
SELECT cases.*
FROM `dataset.latest_fines` AS cases
LEFT JOIN (SELECT DISTINCT fine_id, revision FROM `dataset.reviews`) AS decided
  ON decided.fine_id = cases.fine_id AND decided.revision = cases.revision
WHERE cases.status = 'review' AND decided.fine_id IS NULL
ORDER BY cases.exit_time, cases.fine_id
