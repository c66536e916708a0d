variable "project_id" {
  type        = string
  description = "Project that everything is made in."
}

variable "location" {
  type        = string
  default     = "US"
  description = "Where buckets and tables are; they cannot move later."
}

variable "evidence_kept_days" {
  type        = number
  default     = 365
  description = "For so long nobody can delete a picture in the evidence bucket: as long as your law lets a fine be disputed."
}

variable "input_topic" {
  type    = string
  default = "sightings"
}

variable "input_subscription" {
  type    = string
  default = "sightings-pipeline"
}

variable "output_topic" {
  type    = string
  default = "fines"
}

variable "output_subscription" {
  type    = string
  default = "fines-inbox"
}

variable "review_subscription" {
  type    = string
  default = "reviews"
}

variable "rejected_topic" {
  type    = string
  default = "rejected"
}

variable "rejected_subscription" {
  type    = string
  default = "rejected-inbox"
}

variable "alarms_topic" {
  type    = string
  default = "alarms"
}

variable "alarms_subscription" {
  type    = string
  default = "alarms-inbox"
}

variable "dead_letter_topic" {
  type    = string
  default = "undelivered"
}

variable "dead_letter_subscription" {
  type    = string
  default = "undelivered-inbox"
}

variable "camera_bucket" {
  type        = string
  default     = null
  description = "Default: PROJECT-camera."
}

variable "evidence_bucket" {
  type        = string
  default     = null
  description = "Default: PROJECT-evidence."
}

variable "dataset" {
  type    = string
  default = "section_speed"
}

variable "dataflow_bucket" {
  type        = string
  default     = null
  description = "For the files of Dataflow's jobs; must exist. Default: PROJECT-dataflow."
}

variable "image_repository" {
  type        = string
  default     = "section-speed"
  description = "Repository of the image that Dataflow runs; must exist in the region."
}

variable "region" {
  type        = string
  default     = "us-central1"
  description = "Region of the image repository, and of Dataflow."
}
