"""Google's services on one machine: Pub/Sub, Cloud Storage, BigQuery and Vision on 127.0.0.1, for the real clients.

with localcloud.running(Path("out/cloud")) as cloud:
    subprocess.run([...], env=os.environ | cloud.env)
"""

from localcloud.checks import LocalCloudError
from localcloud.services import DEFAULT_PROJECT, LocalCloud, running

__all__ = ["DEFAULT_PROJECT", "LocalCloud", "LocalCloudError", "running"]
