locals {
  topics = {
    sightings   = var.input_topic
    fines       = var.output_topic
    alarms      = var.alarms_topic
    rejected    = var.rejected_topic
    undelivered = var.dead_letter_topic
  }
  # Each topic has its subscription; that of the fines has a second one, for the cases that wait for a person.
  subscriptions = {
    sightings   = { topic = "sightings", name = var.input_subscription, filter = "" }
    fines       = { topic = "fines", name = var.output_subscription, filter = "" }
    reviews     = { topic = "fines", name = var.review_subscription, filter = "attributes.status = \"review\"" }
    alarms      = { topic = "alarms", name = var.alarms_subscription, filter = "" }
    rejected    = { topic = "rejected", name = var.rejected_subscription, filter = "" }
    undelivered = { topic = "undelivered", name = var.dead_letter_subscription, filter = "" }
  }
}

resource "google_pubsub_topic" "topics" {
  for_each                   = local.topics
  name                       = each.value
  labels                     = { application = "section-speed", component = each.key }
  message_retention_duration = "604800s"
}

resource "google_pubsub_subscription" "subscriptions" {
  for_each                   = local.subscriptions
  name                       = each.value.name
  topic                      = google_pubsub_topic.topics[each.value.topic].id
  filter                     = each.value.filter
  labels                     = { application = "section-speed", component = each.key }
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"

  # Empty: never. A subscription that expires loses what it has not delivered.
  expiration_policy {
    ttl = ""
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dynamic "dead_letter_policy" {
    for_each = each.key == "sightings" ? ["undelivered"] : []
    content {
      dead_letter_topic     = google_pubsub_topic.topics[dead_letter_policy.value].id
      max_delivery_attempts = 100
    }
  }
}
