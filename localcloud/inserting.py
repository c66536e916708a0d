"""BigQuery's insertAll for bqemulator, in place of its own, which copies the whole table after each call (time travel's
snapshot), so that inserting N rows costs N squared, and which takes unknown and missing fields.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes.tabledata import insert_all as original_insert_all
from bqemulator.domain.errors import ResourceRef, ValidationError, resource_not_found
from bqemulator.domain.events import TableDataChanged
from bqemulator.storage.sql_identifiers import quoted_table_ref
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.rows import Column, Json, columns_of, convert_row, stopped, to_arrow

PATH = "/bigquery/v2/projects/{project}/datasets/{dataset}/tables/{table}/insertAll"
MAX_REQUEST_BYTES = 10_000_000
MAX_ROWS = 50_000
# The service promises "at least one minute" of best-effort de-duplication by insertId.
REMEMBER_S = 60.0

Key = tuple[str, str, str]


class RecentIds:
    """The insertIds of the last minute, a table each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Key, OrderedDict[str, float]] = {}

    def is_new(self, table: Key, insert_id: str | None) -> bool:
        """True the first time within a minute that a table's row has this id; a row without one is always new."""
        if insert_id is None:
            return True
        now_s = self._clock()
        seen = self._seen.setdefault(table, OrderedDict())
        while seen and next(iter(seen.values())) < now_s - REMEMBER_S:
            seen.popitem(last=False)
        if insert_id in seen:
            return False
        seen[insert_id] = now_s
        return True


class Inserter:
    """The endpoint: checks every row, then inserts the good ones with one statement."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._recent = RecentIds()

    def route(self) -> Route:
        return Route(PATH, self.insert_all, methods=["POST"])

    async def insert_all(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > MAX_REQUEST_BYTES:
            message = f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes."
            return JSONResponse({"error": {"code": 413, "message": message, "status": "INVALID_ARGUMENT"}}, 413)
        key: Key = (request.path_params["project"], request.path_params["dataset"], request.path_params["table"])
        meta = self._context.catalog.get_table(*key)
        if meta is None:
            raise resource_not_found(ResourceRef("table", *key))
        if meta.table_type != "TABLE":
            raise ValidationError(f"Cannot add rows to a table of type {meta.table_type}.")
        columns = columns_of(meta.schema_.fields)
        if columns is None:  # GEOGRAPHY, INTERVAL, RANGE: bqemulator knows how
            return JSONResponse(await original_insert_all(*key, request, self._context))
        errors = await self._insert(key, columns, await request.json())
        return JSONResponse(
            {"kind": "bigquery#tableDataInsertAllResponse", **({"insertErrors": errors} if errors else {})}
        )

    async def _insert(self, key: Key, columns: dict[str, Column], body: Json) -> list[dict[str, Any]]:
        rows = body.get("rows") or []
        if not 1 <= len(rows) <= MAX_ROWS:
            raise ValidationError(f"The request has {len(rows)} rows; allowed: 1 to {MAX_ROWS}.")
        ignore_unknown = bool(body.get("ignoreUnknownValues"))
        converted = [convert_row(columns, row.get("json"), ignore_unknown=ignore_unknown) for row in rows]
        errors = [{"index": at, "errors": bad} for at, (_, bad) in enumerate(converted) if bad]
        if errors and not body.get("skipInvalidRows"):
            return [{"index": at, "errors": bad or [stopped()]} for at, (_, bad) in enumerate(converted)]
        good = [
            values
            for row, (values, bad) in zip(rows, converted, strict=True)
            if not bad and self._recent.is_new(key, row.get("insertId"))
        ]
        if good:
            await self._store(key, columns, good)
        return errors

    async def _store(self, key: Key, columns: dict[str, Column], rows: list[dict[str, Any]]) -> None:
        name = f"__bqemu_rows_{uuid4().hex}"
        engine = self._context.engine
        async with engine.write_lock():
            engine.connection.register(name, to_arrow(columns, rows))
            try:
                engine.execute(f"INSERT INTO {quoted_table_ref(*key)} BY NAME SELECT * FROM {name}")  # noqa: S608
            finally:
                engine.connection.unregister(name)
            # numRows stays as it is: in the real service too it leaves out the rows of the streaming buffer.
            # The event drops cached query results and refreshes materialized views, as after bqemulator's own insert.
            self._context.events.publish(TableDataChanged(*key))
