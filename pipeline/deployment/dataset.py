"""The dataset of BigQuery with its tables and views as resources of a deployment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from pipeline.deployment.plan import DatasetPlan, Labels
from pipeline.deployment.steps import Found, Resource, Value
from pipeline.patience import PATIENCE
from pipeline.warehouse import columns, tables

ALL_COLUMNS = "all of this release"


class Text(str):
    """The text of a view, which is too long to be shown in a line."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"of {len(self)} characters"


class Dataset(Resource):
    """The dataset itself."""

    kind, service = "dataset", "bigquery"

    def __init__(self, client: bigquery.Client, project: str, plan: DatasetPlan) -> None:
        self._client, self._plan = client, plan
        self.name = f"{project}.{plan.name}"
        self.wanted = {"labels": plan.labels, "location": plan.location.upper()}

    def find(self) -> Found | None:
        """Its settings, or None."""
        try:
            found = self._client.get_dataset(self.name, **PATIENCE)
        except NotFound:
            return None
        return {"labels": dict(found.labels), "location": found.location.upper()}

    def make(self) -> None:
        """Make it as planned."""
        made = bigquery.Dataset(self.name)
        made.labels, made.location = dict(self._plan.labels), _place(self._plan.location)
        self._client.create_dataset(made, **PATIENCE)

    def may_change(self, name: str, found: Value) -> bool:
        """Labels; a dataset cannot move."""
        return name == "labels"

    def change(self, names: Collection[str], found: Found) -> None:
        """Add the planned labels."""
        dataset = self._client.get_dataset(self.name, **PATIENCE)
        dataset.labels = {**dataset.labels, **self._plan.labels}
        self._client.update_dataset(dataset, list(names), **PATIENCE)

    def remove(self) -> None:
        """Remove it with all tables."""
        self._client.delete_dataset(self.name, delete_contents=True, **PATIENCE)


def _place(location: str) -> str:
    """As BigQuery writes it: US and EU, but europe-west1."""
    return location.lower() if "-" in location else location


class Table(Resource):
    """A table, which may gain columns, or a view, whose text may change: it holds nothing."""

    service = "bigquery"

    def __init__(self, client: bigquery.Client, planned: bigquery.Table, labels: Labels) -> None:
        self._client, self._planned = client, planned
        planned.labels = dict(labels)
        self.name = str(planned.reference)
        self.kind = "view" if planned.view_query else "table"
        self.wanted = {"labels": labels, **_shape(planned, planned)}

    def find(self) -> Found | None:
        """Its settings, or None. A view whose text the service does not tell is taken as it is."""
        try:
            found = self._client.get_table(self._planned.reference, **PATIENCE)
        except NotFound:
            return None
        if self.kind == "view" and found.view_query is None:
            return {"labels": dict(found.labels)}
        return {"labels": dict(found.labels), **_shape(found, self._planned)}

    def make(self) -> None:
        """Make it as planned."""
        self._client.create_table(self._planned, **PATIENCE)

    def may_change(self, name: str, found: Value) -> bool:
        """Labels, columns that are missing, the text of a view."""
        return name in ("labels", "text") or (name == "columns" and str(found).startswith(columns.WITHOUT))

    def change(self, names: Collection[str], found: Found) -> None:
        """Add labels and missing columns, or set the text."""
        table, fields = self._client.get_table(self._planned.reference, **PATIENCE), []
        if "labels" in names:
            table.labels = {**table.labels, **self._planned.labels}
            fields.append("labels")
        if "columns" in names:
            table.schema = columns.united(table.schema, self._planned.schema)
            fields.append("schema")
        if "text" in names:
            table.view_query = self._planned.view_query
            fields.append("view_query")
        self._client.update_table(table, fields, **PATIENCE)

    def remove(self) -> None:
        """Remove it with all rows."""
        self._client.delete_table(self._planned.reference, **PATIENCE)


def _shape(found: bigquery.Table, planned: bigquery.Table) -> Mapping[str, Value]:
    if planned.view_query:
        return {"text": Text(found.view_query)}
    parts = found.time_partitioning
    return {
        "columns": columns.difference(found.schema, planned.schema) or ALL_COLUMNS,
        "partitioned_by": None if parts is None else f"{parts.field} by {parts.type_}",
        "clustered_by": tuple(found.clustering_fields or ()),
    }


def warehouse(client: bigquery.Client, project: str, plan: DatasetPlan) -> Iterator[Resource]:
    """The dataset, its tables, its views, in the order in which they can be made."""
    yield Dataset(client, project, plan)
    dataset = f"{project}.{plan.name}"
    for name in tables.TABLES:
        yield Table(client, tables.table(dataset, name), plan.labels)
    for name in tables.VIEWS:
        yield Table(client, tables.view(dataset, name), plan.labels)
