"""A stand-in for the metadata server of a Google machine: it hands out a token that is worth nothing.

Google's libraries ask it for credentials when GCE_METADATA_HOST points here, so that clients which insist on them
(BigQuery, Beam's table calls) get some, without a key on disk, a browser login or a request to the internet.
https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
"""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from localcloud.serving import HOST, ServiceArgs

ACCOUNT = "local@localcloud.invalid"
ROOT = "/computeMetadata/v1"


def documents(project: str) -> dict[str, str]:
    """The text at each path that google-auth, oauth2client and Beam ask for."""
    account = {"email": ACCOUNT, "aliases": ["default"], "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    token = {"access_token": "local", "expires_in": 3600, "token_type": "Bearer"}
    texts = {"/": "computeMetadata/\n", f"{ROOT}/project/project-id": project}
    for name in ("default", ACCOUNT):
        at = f"{ROOT}/instance/service-accounts/{name}"
        texts |= {f"{at}/": json.dumps(account), f"{at}/token": json.dumps(token), f"{at}/email": ACCOUNT}
    texts[f"{ROOT}/universe/universe-domain"] = "googleapis.com"
    return texts


class MetadataServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, project: str) -> None:
        super().__init__((HOST, port), MetadataHandler)
        self.documents = documents(project)


class MetadataHandler(BaseHTTPRequestHandler):
    server: MetadataServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        text = self.server.documents.get(urlsplit(self.path).path)
        body = (text or "not found").encode()
        self.send_response(404 if text is None else 200)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "application/json" if body.startswith(b"{") else "application/text")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@asynccontextmanager
async def serving(args: ServiceArgs) -> AsyncIterator[None]:
    with MetadataServer(args.port, args.project) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
