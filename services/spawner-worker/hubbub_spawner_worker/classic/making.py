"""Making a classic spawner as JupyterHub makes it: the same keywords, in the same order (contract, part 7.2)."""

import logging
from functools import partial
from typing import Any, cast

from jupyterhub.spawner import Spawner

from hubbub.domain.server_messages import Reach
from hubbub_spawner_worker.certificates import Certificates, create_certs
from hubbub_spawner_worker.classic.facades import ClassicUser, NoSession, hub_at, orm_spawner_of, server_at
from hubbub_spawner_worker.hosting import Given

#: Whose servers are processes or units of the worker's own host.
_OF_A_HOST = ("jupyterhub.spawner.LocalProcessSpawner", "sudospawner.", "systemdspawner.", "wrapspawner.")


def make(kind: type[Any], config: Any, given: Given) -> Any:
    """A spawner of the class *kind*. Where its server listens is told later, if it runs."""
    hub = hub_at(given.hub.api_url, given.hub.public_host)
    user = ClassicUser(given.user, hub.base_url)
    row = orm_spawner_of(given.name, given.display_name, given.state, given.options)
    row.server = server_at(given.prefix)
    row.user = user
    spawner = kind(
        user=user,
        orm_spawner=row,
        hub=hub,
        authenticator=given.authenticator,
        config=config,
        proxy_spec=f"{given.user.domain}{given.prefix}",
        _deprecated_db_session=NoSession(),
        oauth_client_id=given.client_id,
        cookie_options=given.cookie_options,
        cookie_host_prefix_enabled=given.cookie_host_prefix,
        trusted_alt_names=list(given.trusted_alt_names),
        user_options=given.options,
        public_url=given.public_url,
        public_hub_url=given.public_hub_url,
    )
    if given.certificates is not None:
        _certify(spawner, given.certificates)
    spawner.log = logging.getLogger("hubbub.spawner")
    spawner.oauth_access_scopes = list(given.access_scopes)
    user.spawners[given.name] = spawner
    spawner.load_state(dict(given.state))
    return spawner


def _certify(spawner: Any, certificates: Certificates) -> None:
    """JupyterHub's own method wants the authority's key beside it, which no worker has."""
    spawner.internal_ssl = True
    spawner.internal_trust_bundles = certificates.trust_bundles
    if type(spawner).create_certs is Spawner.create_certs:
        spawner.create_certs = partial(create_certs, spawner, certificates)


def reach_of(kind: type[Any]) -> Reach:
    """Who can get at what such a spawner starts, as far as its class tells: by an attribute `reach`, or its name."""
    if (said := getattr(kind, "reach", None)) in ("host", "pool"):
        return cast("Reach", said)
    names = [f"{each.__module__}.{each.__qualname__}" for each in kind.__mro__]
    return "host" if any(name.startswith(_OF_A_HOST) for name in names) else "pool"
