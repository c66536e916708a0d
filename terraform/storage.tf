locals {
  camera_bucket   = coalesce(var.camera_bucket, "${var.project_id}-camera")
  evidence_bucket = coalesce(var.evidence_bucket, "${var.project_id}-evidence")
}

# Pictures of all vehicles: gone after a day, for good.
resource "google_storage_bucket" "camera" {
  name                        = local.camera_bucket
  location                    = var.location
  labels                      = { application = "section-speed", component = "camera" }
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = 1
    }
  }

  soft_delete_policy {
    retention_duration_seconds = 0
  }
}

resource "google_storage_bucket" "evidence" {
  name                        = local.evidence_bucket
  location                    = var.location
  labels                      = { application = "section-speed", component = "evidence" }
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  retention_policy {
    retention_period = var.evidence_kept_days * 86400
  }

  lifecycle {
    prevent_destroy = true
  }
}
