# The same grants, with their reasons: python -m pipeline provision --roles
locals {
  accounts = ["worker", "cameras", "fines-reader", "reviewer", "operator", "analyst"]

  topic_grants = [
    { account = "worker", role = "roles/pubsub.viewer", topic = "fines" },
    { account = "worker", role = "roles/pubsub.viewer", topic = "rejected" },
    { account = "worker", role = "roles/pubsub.viewer", topic = "alarms" },
    { account = "worker", role = "roles/pubsub.publisher", topic = "fines" },
    { account = "worker", role = "roles/pubsub.publisher", topic = "rejected" },
    { account = "worker", role = "roles/pubsub.publisher", topic = "alarms" },
    { account = "cameras", role = "roles/pubsub.publisher", topic = "sightings" },
    { account = "reviewer", role = "roles/pubsub.publisher", topic = "fines" },
    { account = "operator", role = "roles/pubsub.publisher", topic = "sightings" },
    { account = "pubsub", role = "roles/pubsub.publisher", topic = "undelivered" },
  ]
  subscription_grants = [
    { account = "worker", role = "roles/pubsub.subscriber", subscription = "sightings" },
    { account = "worker", role = "roles/pubsub.viewer", subscription = "sightings" },
    { account = "fines-reader", role = "roles/pubsub.subscriber", subscription = "fines" },
    { account = "fines-reader", role = "roles/pubsub.subscriber", subscription = "alarms" },
    { account = "reviewer", role = "roles/pubsub.subscriber", subscription = "reviews" },
    { account = "operator", role = "roles/pubsub.subscriber", subscription = "rejected" },
    { account = "operator", role = "roles/pubsub.subscriber", subscription = "undelivered" },
    { account = "pubsub", role = "roles/pubsub.subscriber", subscription = "sightings" },
  ]
  bucket_grants = [
    { account = "worker", role = "roles/storage.objectViewer", bucket = "camera" },
    { account = "worker", role = "roles/storage.objectCreator", bucket = "evidence" },
    { account = "worker", role = "roles/storage.objectViewer", bucket = "evidence" },
    { account = "cameras", role = "roles/storage.objectCreator", bucket = "camera" },
    { account = "fines-reader", role = "roles/storage.objectViewer", bucket = "evidence" },
    { account = "reviewer", role = "roles/storage.objectViewer", bucket = "evidence" },
    { account = "worker", role = "roles/storage.objectUser", bucket = "dataflow" },
  ]
  table_grants = [
    { account = "worker", role = "roles/bigquery.dataEditor", table = "sightings" },
    { account = "worker", role = "roles/bigquery.dataEditor", table = "passages" },
    { account = "worker", role = "roles/bigquery.dataEditor", table = "fines" },
    { account = "worker", role = "roles/bigquery.dataEditor", table = "alarms" },
    { account = "worker", role = "roles/bigquery.dataEditor", table = "rejected" },
    { account = "reviewer", role = "roles/bigquery.dataViewer", table = "latest_fines" },
    { account = "reviewer", role = "roles/bigquery.dataViewer", table = "review_queue" },
    { account = "reviewer", role = "roles/bigquery.dataViewer", table = "camera_misreads" },
    { account = "reviewer", role = "roles/bigquery.dataViewer", table = "alarms" },
    { account = "reviewer", role = "roles/bigquery.dataEditor", table = "fines" },
    { account = "reviewer", role = "roles/bigquery.dataEditor", table = "reviews" },
    { account = "analyst", role = "roles/bigquery.dataViewer", table = "sightings" },
    { account = "analyst", role = "roles/bigquery.dataViewer", table = "passages" },
    { account = "analyst", role = "roles/bigquery.dataViewer", table = "latest_sightings" },
    { account = "analyst", role = "roles/bigquery.dataViewer", table = "latest_passages" },
  ]
  repository_grants = [
    { account = "worker", role = "roles/artifactregistry.reader" },
  ]
  # There is no resource of their own to bind these to.
  project_grants = [
    { account = "worker", role = "roles/dataflow.worker" },
    { account = "worker", role = "roles/serviceusage.serviceUsageConsumer" },
    { account = "reviewer", role = "roles/bigquery.jobUser" },
    { account = "analyst", role = "roles/bigquery.jobUser" },
  ]

  # Dataflow's bucket and the repository of its image are made before this: the image needs them first.
  buckets = {
    camera   = google_storage_bucket.camera.name
    evidence = google_storage_bucket.evidence.name
    dataflow = coalesce(var.dataflow_bucket, "${var.project_id}-dataflow")
  }
  members = merge(
    { for name, account in google_service_account.accounts : name => account.member },
    { pubsub = "serviceAccount:service-${data.google_project.project.number}@gcp-sa-pubsub.iam.gserviceaccount.com" },
  )
}

data "google_project" "project" {
  project_id = var.project_id
}

resource "google_service_account" "accounts" {
  for_each   = toset(local.accounts)
  account_id = "section-speed-${each.key}"
}

resource "google_pubsub_topic_iam_member" "topics" {
  for_each = { for grant in local.topic_grants : "${grant.account} ${grant.role} ${grant.topic}" => grant }
  topic    = google_pubsub_topic.topics[each.value.topic].name
  role     = each.value.role
  member   = local.members[each.value.account]
}

resource "google_pubsub_subscription_iam_member" "subscriptions" {
  for_each     = { for grant in local.subscription_grants : "${grant.account} ${grant.role} ${grant.subscription}" => grant }
  subscription = google_pubsub_subscription.subscriptions[each.value.subscription].name
  role         = each.value.role
  member       = local.members[each.value.account]
}

resource "google_storage_bucket_iam_member" "buckets" {
  for_each = { for grant in local.bucket_grants : "${grant.account} ${grant.role} ${grant.bucket}" => grant }
  bucket   = local.buckets[each.value.bucket]
  role     = each.value.role
  member   = local.members[each.value.account]
}

resource "google_artifact_registry_repository_iam_member" "repositories" {
  for_each   = { for grant in local.repository_grants : "${grant.account} ${grant.role}" => grant }
  location   = var.region
  repository = var.image_repository
  role       = each.value.role
  member     = local.members[each.value.account]
}

resource "google_bigquery_table_iam_member" "tables" {
  for_each   = { for grant in local.table_grants : "${grant.account} ${grant.role} ${grant.table}" => grant }
  dataset_id = google_bigquery_dataset.warehouse.dataset_id
  table_id   = each.value.table
  role       = each.value.role
  member     = local.members[each.value.account]
  depends_on = [google_bigquery_table.tables, google_bigquery_table.latest_views, google_bigquery_table.later_views]
}

resource "google_project_iam_member" "project" {
  for_each = { for grant in local.project_grants : "${grant.account} ${grant.role}" => grant }
  project  = var.project_id
  role     = each.value.role
  member   = local.members[each.value.account]
}
