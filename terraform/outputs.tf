output "input_subscription" {
  description = "For --input_subscription."
  value       = google_pubsub_subscription.subscriptions["sightings"].id
}

output "output_topic" {
  description = "For --output_topic."
  value       = google_pubsub_topic.topics["fines"].id
}

output "rejected_topic" {
  description = "For --rejected_topic."
  value       = google_pubsub_topic.topics["rejected"].id
}

output "alarms_topic" {
  description = "For --alarms_topic."
  value       = google_pubsub_topic.topics["alarms"].id
}

output "dataset" {
  description = "For --dataset."
  value       = local.dataset
}

output "evidence_bucket" {
  description = "For --evidence_bucket."
  value       = google_storage_bucket.evidence.name
}

output "camera_bucket" {
  description = "Where cameras upload their pictures."
  value       = google_storage_bucket.camera.name
}

output "accounts" {
  description = "The service accounts by what they do."
  value       = { for name, account in google_service_account.accounts : name => account.email }
}
