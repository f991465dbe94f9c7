"""Makes a classic authenticator as JupyterHub makes it: below an application, with a database session."""

import logging
from typing import Any

import structlog
from jupyterhub._data import DATA_FILES_PATH
from jupyterhub.objects import Hub
from traitlets import TraitError
from traitlets.config import LoggingConfigurable

from hubbub.config import ConfigError, Options
from hubbub.web.cookies import LOGIN, named
from hubbub_auth.classic.tables import Tables

log = structlog.get_logger()


class JupyterHub(LoggingConfigurable):
    """What authenticators look at of JupyterHub's application (`parent`, and what `get_handlers` is given).

    It has that name so that `c.JupyterHub.MyAuthenticator.option` means what it does there.
    """

    def __init__(self, options: Options, tables: Tables) -> None:
        super().__init__(config=options.traits, log=logging.getLogger("hubbub.authenticator"))
        said = options.traits.get("JupyterHub", {})
        self.options = options
        self.db = tables
        self.base_url = options.base_url
        self.hub_prefix = options.hub_prefix
        hosts = options.hosts
        self.hub = Hub.from_url(f"{options.hub_connect_url}{options.hub_prefix}")
        self.hub.public_host, self.hub.routespec = hosts.public_origin, hosts.hub_routespec
        self.hub.cookie_name = named(options, LOGIN)
        self.public_url, self.subdomain_host, self.domain = hosts.public_url, hosts.subdomain_host, hosts.domain
        self.trusted_downstream_ips = list(options.hub.trusted_downstream_ips)
        self.forwarded_host_header = options.hub.forwarded_host_header
        self.cookie_host_prefix_enabled = options.hub.cookie_host_prefix_enabled
        self.admin_users = set(options.hub.admin_users)
        self.tornado_settings = dict(options.hub.tornado_settings)
        self.template_paths = list(said.get("template_paths", []))
        self.template_vars = dict(said.get("template_vars", {}))
        self.jinja_environment_options = dict(said.get("jinja_environment_options", {}))
        self.cookie_max_age_days = options.hub.cookie_max_age_days
        self.data_files_path = DATA_FILES_PATH
        self.authenticator: Any = None
        #: What `get_handlers` of the authenticator gave.
        self.handlers: list[Any] = []

    def _load_config(self, *_: Any, **__: Any) -> None:
        """The options of the hub are read elsewhere."""


def make(kind: type[Any], options: Options, postgres_url: str) -> Any:
    """One of *kind*, with the operator's options. Raises ConfigError, or TraitError."""
    app = JupyterHub(options, Tables(postgres_url))
    try:
        with app.db.scope():
            app.authenticator = kind(parent=app, _deprecated_db_session=app.db)
            app.handlers = list(app.authenticator.get_handlers(app))
    except TraitError:
        raise
    except Exception as error:  # whatever its author had in mind
        log.exception("auth.authenticator_not_made", authenticator=kind.__name__)
        raise ConfigError(
            f"c.JupyterHub.authenticator_class: {kind.__name__} cannot be made: {type(error).__name__}: {error}"
        ) from error
    return app.authenticator
