"""BigQuery: bqemulator in this process, offline, with an insertAll as strict as the real one, and as fast as needed."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import duckdb_extension_spatial  # type: ignore[import-untyped]
from bqemulator import server
from bqemulator.api.app import create_app
from bqemulator.api.dependencies import AppContext
from bqemulator.config import LogLevel, PersistenceMode, Settings
from fastapi import FastAPI

from localcloud.inserting import Inserter
from localcloud.serving import HOST, ServiceArgs


def provide_spatial_extension(home: Path) -> None:
    """Put the wheel's spatial extension where DuckDB looks for installed ones, so that INSTALL asks no server."""
    version = f"v{duckdb.__version__}"
    (system,) = duckdb.sql("PRAGMA platform").fetchone() or ("",)
    target = home / ".duckdb" / "extensions" / version / str(system) / "spatial.duckdb_extension"
    target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    packaged = Path(str(duckdb_extension_spatial.__file__)).parent / "extensions" / version / target.name
    try:
        target.symlink_to(packaged)
    except OSError:  # Windows without the right to make links
        shutil.copyfile(packaged, target)


@asynccontextmanager
async def serving(args: ServiceArgs) -> AsyncIterator[None]:
    root = args.data_dir / "bigquery"
    root.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = os.environ["USERPROFILE"] = str(root)
    provide_spatial_extension(root)
    # bqemulator offers no place for routes of one's own; its server finds this name when it starts.
    server.create_app = _create_app_with_inserter  # type: ignore[attr-defined]
    emulator = server.EmulatorServer(
        Settings(
            rest_host=HOST,
            rest_port=args.port,
            grpc_host=HOST,
            grpc_port=0,
            persistence_mode=PersistenceMode.PERSISTENT,
            data_dir=root,
            upload_staging_dir=root / "uploads",
            default_project_id=args.project,
            # The extension it would fetch reads Avro files; nothing here is fetched.
            enable_format_extensions=False,
            log_level=LogLevel.WARNING,
        )
    )
    await emulator.start()
    try:
        yield
    finally:
        await emulator.stop()


def _create_app_with_inserter(context: AppContext) -> FastAPI:
    app = create_app(context)
    # The first route that matches is taken, so this one stands before bqemulator's own.
    app.router.routes.insert(0, Inserter(context).route())
    return app
