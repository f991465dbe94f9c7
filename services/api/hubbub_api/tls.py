"""Internal TLS, as an api has it: the authorities, how it listens, and how it asks others."""

import ssl
from dataclasses import dataclass

from hubbub.config import ConfigError, Options
from hubbub.internal_tls import authorities, files
from hubbub.internal_tls import options as tls
from hubbub.internal_tls.authorities import Authorities
from hubbub.settings import give_up


@dataclass(frozen=True, kw_only=True)
class Tls:
    """All null without `c.JupyterHub.internal_ssl`."""

    authorities: Authorities | None = None
    serving: ssl.SSLContext | None = None
    asking: ssl.SSLContext | None = None


def of(options: Options) -> Tls:
    """Makes what is missing; ends the process, naming it, if the configuration cannot be meant."""
    if not options.hub.internal_ssl:
        return Tls()
    try:
        found = tls.settle(options)
    except ConfigError as error:
        give_up(str(error))
    with authorities.reading(found.folder):
        ours = authorities.kept(found.folder, "hub-internal")
        # Services may well have certificates that the whole world trusts.
        return Tls(authorities=found, serving=files.serving(ours), asking=files.asking(ours, public=True))
