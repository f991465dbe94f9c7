"""A learning platform that launches tools by LTI 1.3: people say who they are, and it signs that."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from rigs.serving import serving

CLAIM = "https://purl.imsglobal.org/spec/lti/claim"
WHO = '<form method="post" action=""><input name="login"></form>'
#: The page's script sends it.
BACK = (
    '<form method="post" action="{redirect_uri}"><input type="hidden" name="id_token" value="{token}">'
    '<input type="hidden" name="state" value="{state}"></form>'
)


class Platform:
    """`url`: its issuer. `forges`: whether it signs with a key that is not its own."""

    def __init__(self) -> None:
        self.url = ""
        self.forges = False
        self._key, self._other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))

    @property
    def keys(self) -> str:
        """JSON Web Key Set."""
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key()))
        return json.dumps({"keys": [{**key, "kid": "1", "alg": "RS256", "use": "sig"}]})

    def launch(self, asked: dict[str, str], login: str) -> str:
        """The page that sends a browser back to the tool, as its request for authentication *asked*."""
        claims = {
            "iss": self.url,
            "aud": asked["client_id"],
            "sub": login,
            "email": f"{login}@example.org",
            "iat": int(time.time()),
            "exp": int(time.time()) + 60,
            "nonce": asked["nonce"],
            f"{CLAIM}/version": "1.3.0",
            f"{CLAIM}/message_type": "LtiResourceLinkRequest",
            f"{CLAIM}/deployment_id": "1",
            f"{CLAIM}/target_link_uri": asked["redirect_uri"],
            f"{CLAIM}/resource_link": {"id": "course-7"},
            f"{CLAIM}/roles": [],
        }
        key = self._other if self.forges else self._key
        token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "1"})
        return BACK.format(redirect_uri=asked["redirect_uri"], token=token, state=asked["state"])


class _Request(BaseHTTPRequestHandler):
    platform: Platform

    def do_GET(self) -> None:
        is_keys = urlsplit(self.path).path == "/keys"
        self._send(self.platform.keys if is_keys else WHO, "application/json" if is_keys else "text/html")

    def do_POST(self) -> None:
        sent = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        asked = dict(parse_qsl(urlsplit(self.path).query))
        self._send(self.platform.launch(asked, sent["login"]), "text/html")

    def _send(self, text: str, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def platform() -> Iterator[Platform]:
    made = Platform()
    with serving(_Request, platform=made) as made.url:
        yield made
