"""What a service is by what was said of it, by the operator or by a client of the API (contract, part 8)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hubbub.addresses import BadAddress, netloc, parsed
from hubbub.domain.service import Spec
from hubbub.managed import prefix_of

_KEYS = [field.name for field in msgspec.structs.fields(Spec)]


class BadService(ValueError):
    """There cannot be such a service."""


def spec_of(said: Mapping[str, Any], base_url: str) -> Spec:
    """*said*: JupyterHub's keys, of which those that a Spec does not have are not looked at. Raises BadService.

    People can log in to one that has a `url`, or of which anything about OAuth is said: only then are
    `oauth_client_id` and `oauth_redirect_uri` set.
    """
    try:
        spec = msgspec.convert({key: said[key] for key in _KEYS if said.get(key) is not None}, Spec)
        if spec.url:
            _check_url(spec.url)
    except (msgspec.ValidationError, BadAddress) as error:
        raise BadService(f"Service {said.get('name')}: {error}") from None
    if not (spec.url or spec.oauth_client_id or spec.oauth_redirect_uri or spec.oauth_no_confirm):
        return spec
    client = spec.oauth_client_id or f"service-{spec.name}"
    back = spec.oauth_redirect_uri or (f"{prefix_of(base_url, spec.name)}oauth_callback" if spec.url else "")
    if not client.startswith("service-"):
        raise BadService(f"Service {spec.name}: its oauth_client_id must begin with 'service-'")
    if not _leads_somewhere(back):
        raise BadService(f"Service {spec.name}: it needs an oauth_redirect_uri, a path of the hub or an address")
    return msgspec.structs.replace(spec, oauth_client_id=client, oauth_redirect_uri=back)


def _check_url(url: str) -> None:
    if not parsed(url).hostname or not url.isprintable():
        raise BadAddress(f"{url!r} names no host")


def _leads_somewhere(back: str) -> bool:
    is_path = back.startswith("/") and not back.startswith("//")
    return back.isprintable() and " " not in back and (is_path or "://" in back)


def origin_of(url: str) -> str:
    """Where a service listens: its *url* without path, and with the port that it implies (`http://10.0.0.7:80`)."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{netloc(parts.hostname or '', port)}"
