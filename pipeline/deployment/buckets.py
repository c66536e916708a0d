"""Buckets of Cloud Storage as resources of a deployment."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from google.api_core.exceptions import NotFound
from google.cloud import storage

from pipeline import endpoints
from pipeline.deployment.plan import DAY_S, BucketPlan
from pipeline.deployment.steps import Found, Resource, Value
from pipeline.patience import PATIENCE

# The local service chooses it by itself; the rest it takes and forgets.
_NOT_LOCALLY = frozenset({"location"})
PRIVATE = "enforced"


class Bucket(Resource):
    """A bucket that can never be public, with uniform access and rules about how long its objects stay."""

    kind, service = "bucket", "storage"

    def __init__(self, client: storage.Client, plan: BucketPlan) -> None:
        self._client, self._plan = client, plan
        self.name = f"gs://{plan.name}"
        self.wanted = {
            "location": plan.location.upper(),
            "labels": plan.labels,
            "uniform_access": True,
            "public_access_prevention": PRIVATE,
            "deleted_after_days": plan.deleted_after_days,
            "kept_s": None if plan.kept_days is None else plan.kept_days * DAY_S,
        }
        if plan.deleted_after_days is not None:
            self.wanted["soft_delete_s"] = 0
        if endpoints.is_local("storage"):
            self.wanted = {name: value for name, value in self.wanted.items() if name not in _NOT_LOCALLY}

    def find(self) -> Found | None:
        """Its settings, or None. Raises Forbidden where the name belongs to somebody else."""
        try:
            bucket = self._client.get_bucket(self._plan.name, **PATIENCE)
        except NotFound:
            return None
        access = bucket.iam_configuration
        return {
            "location": (bucket.location or "").upper(),
            "labels": dict(bucket.labels),
            "uniform_access": access.uniform_bucket_level_access_enabled,
            "public_access_prevention": access.public_access_prevention,
            "deleted_after_days": _deleted_after_days(bucket),
            "kept_s": bucket.retention_period,
            "soft_delete_s": bucket.soft_delete_policy.retention_duration_seconds or 0,
        }

    def make(self) -> None:
        """Make it as planned."""
        self._client.create_bucket(self.planned(), location=self._plan.location, **PATIENCE)

    def planned(self) -> storage.Bucket:
        """The bucket as it is asked for."""
        bucket = self._client.bucket(self._plan.name)
        self._set(bucket, self.wanted)
        return bucket

    def may_change(self, name: str, found: Value) -> bool:
        """Whatever neither lets objects go earlier than somebody decided, nor opens the bucket."""
        if name == "kept_s":
            wanted_s = self.wanted["kept_s"]
            return isinstance(wanted_s, int) and (not isinstance(found, int) or wanted_s > found)
        if name == "deleted_after_days":
            return found is None
        return name != "location"

    def change(self, names: Collection[str], found: Found) -> None:
        """Give these settings their planned values; other labels and rules stay."""
        bucket = self._client.get_bucket(self._plan.name, **PATIENCE)
        self._set(bucket, {name: self.wanted[name] for name in names})
        bucket.patch(**PATIENCE)

    def remove(self) -> None:
        """Remove it with the objects in it."""
        bucket = self._client.bucket(self._plan.name)
        for blob in self._client.list_blobs(bucket, **PATIENCE):
            blob.delete(**PATIENCE)
        bucket.delete(**PATIENCE)

    def _set(self, bucket: storage.Bucket, settings: Mapping[str, Value]) -> None:
        access = bucket.iam_configuration
        if "labels" in settings:
            bucket.labels = {**bucket.labels, **self._plan.labels}
        if "uniform_access" in settings:
            access.uniform_bucket_level_access_enabled = True
        if "public_access_prevention" in settings:
            access.public_access_prevention = PRIVATE
        if settings.get("deleted_after_days") is not None:
            bucket.add_lifecycle_delete_rule(age=self._plan.deleted_after_days)
        if settings.get("kept_s") is not None:
            bucket.retention_period = settings["kept_s"]
        if "soft_delete_s" in settings:
            bucket.soft_delete_policy.retention_duration_seconds = 0


def _deleted_after_days(bucket: storage.Bucket) -> int | None:
    """Of a rule that deletes whatever is old enough, without another condition."""
    ages = [
        rule["condition"]["age"]
        for rule in bucket.lifecycle_rules
        if rule["action"]["type"] == "Delete" and rule["condition"].keys() == {"age"}
    ]
    return min(ages, default=None)
