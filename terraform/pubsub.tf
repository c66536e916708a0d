locals {
  ways = {
    sightings   = { topic = var.input_topic, subscription = var.input_subscription }
    fines       = { topic = var.output_topic, subscription = var.output_subscription }
    alarms      = { topic = var.alarms_topic, subscription = var.alarms_subscription }
    rejected    = { topic = var.rejected_topic, subscription = var.rejected_subscription }
    undelivered = { topic = var.dead_letter_topic, subscription = var.dead_letter_subscription }
  }
}

resource "google_pubsub_topic" "topics" {
  for_each                   = local.ways
  name                       = each.value.topic
  labels                     = { application = "section-speed", component = each.key }
  message_retention_duration = "604800s"
}

resource "google_pubsub_subscription" "subscriptions" {
  for_each                   = local.ways
  name                       = each.value.subscription
  topic                      = google_pubsub_topic.topics[each.key].id
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
