locals {
  # The schemas are made from the record types: make schemas
  tables = {
    sightings = { partitioned_by = "timestamp", clustered_by = ["camera_id", "vehicle_id"] }
    passages  = { partitioned_by = "entry_time", clustered_by = ["section_id", "outcome"] }
    fines     = { partitioned_by = "entry_time", clustered_by = ["radar_id", "status"] }
    alarms    = { partitioned_by = "time", clustered_by = ["kind"] }
    rejected  = { partitioned_by = "received_at", clustered_by = ["stage", "reason"] }
    reviews   = { partitioned_by = "decided_at", clustered_by = ["fine_id", "decision"] }
  }
  latest_views = ["latest_sightings", "latest_passages", "latest_fines", "camera_misreads"]
  later_views  = ["edem", "review_queue"] # which read the latest ones
  view_texts   = "${path.module}/../pipeline/warehouse/views"
  dataset      = "${var.project_id}.${var.dataset}"
}

resource "google_bigquery_dataset" "warehouse" {
  dataset_id = var.dataset
  location   = var.location
  labels     = { application = "section-speed", component = "warehouse" }
}

resource "google_bigquery_table" "tables" {
  for_each            = local.tables
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = each.key
  schema              = file("${path.module}/schemas/${each.key}.json")
  clustering          = each.value.clustered_by
  labels              = { application = "section-speed", component = "warehouse" }
  deletion_protection = true

  time_partitioning {
    type  = "DAY"
    field = each.value.partitioned_by
  }
}

resource "google_bigquery_table" "latest_views" {
  for_each            = toset(local.latest_views)
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = each.key
  labels              = { application = "section-speed", component = "warehouse" }
  deletion_protection = false
  depends_on          = [google_bigquery_table.tables]

  view {
    query          = replace(file("${local.view_texts}/${each.key}.sql"), "`dataset.", "`${local.dataset}.")
    use_legacy_sql = false
  }
}

resource "google_bigquery_table" "later_views" {
  for_each            = toset(local.later_views)
  dataset_id          = google_bigquery_dataset.warehouse.dataset_id
  table_id            = each.key
  labels              = { application = "section-speed", component = "warehouse" }
  deletion_protection = false
  depends_on          = [google_bigquery_table.latest_views]

  view {
    query          = replace(file("${local.view_texts}/${each.key}.sql"), "`dataset.", "`${local.dataset}.")
    use_legacy_sql = false
  }
}

# As it was called before the queue of reviews stood beside it.
moved {
  from = google_bigquery_table.edem
  to   = google_bigquery_table.later_views["edem"]
}
