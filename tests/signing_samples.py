"""Keys for tests of what is signed."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.packets.keys import PublicKeys, SigningKey

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY, OTHER_KEY = SigningKey(_KEY), SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
PRIVATE_PEM = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = PublicKeys.of(KEY)
