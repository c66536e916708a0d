"""BigQuery tables and views."""
