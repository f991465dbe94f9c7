"""JupyterHub's tornado application, as far as the pages of an authenticator need it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub.handlers import login
from jupyterhub.handlers.base import Template404
from jupyterhub.handlers.static import CacheControlStaticFilesHandler
from jupyterhub.utils import url_path_join
from tornado.httputil import HTTPServerRequest
from tornado.routing import URLSpec
from tornado.web import Application, ErrorHandler

from hubbub import JUPYTERHUB_VERSION
from hubbub.web import cookies
from hubbub_auth.classic.asked import Asked
from hubbub_auth.classic.house import hosted
from hubbub_auth.classic.making import JupyterHub

#: Where JupyterHub's style sheets, scripts and pictures are, below the hub's prefix; `static/` has ours.
STATIC = "authenticator-static/"


class Pages(Application):
    """Answers the requests that are *asked*, each found by the key in its header `KEY`, and no others.

    So nobody gains anything by finding the way to its socket.
    """

    KEY = "X-Hubbub-Asked"

    def __init__(self, asked: Mapping[str, Asked], handlers: list[Any], **settings: Any) -> None:
        self._asked = asked
        super().__init__(handlers, **settings)

    def find_handler(self, request: HTTPServerRequest, **named: Any) -> Any:
        asked = self._asked.get(request.headers.pop(self.KEY, ""))
        if asked is None:
            return self.get_handler_delegate(request, _Stranger, {"status_code": 403})
        request.asked = asked  # type: ignore[attr-defined]
        return super().find_handler(request, **named)


class _Stranger(ErrorHandler):
    def check_xsrf_cookie(self) -> None:
        """There is nothing to protect."""


def pages(app: JupyterHub, asked: Mapping[str, Asked], cookie_secret: bytes) -> Pages:
    """All that `get_handlers` has given, and JupyterHub's login and log-out where that has none."""
    prefix = app.hub_prefix
    specs = [*app.handlers, *login.default_handlers]
    handlers = [_below(prefix, spec) for spec in specs]
    return Pages(asked, [*handlers, (r".*", hosted(Template404))], **_settings(app, cookie_secret))


def patterns(app: JupyterHub) -> tuple[str, ...]:
    """Regular expressions for all that is below the hub's prefix and is answered by `pages`."""
    found = [_pattern(spec).removeprefix("/").removeprefix("?").removesuffix("$") for spec in app.handlers]
    return (*dict.fromkeys(found), rf"{STATIC}.*")


def _pattern(spec: Any) -> str:
    return str(spec.regex.pattern if isinstance(spec, URLSpec) else spec[0]).removeprefix("^")


def _below(prefix: str, spec: Any) -> URLSpec:
    pattern = url_path_join(re.escape(prefix), _pattern(spec))
    if isinstance(spec, URLSpec):
        return URLSpec(pattern, hosted(spec.handler_class), spec.kwargs, spec.name)
    handler, *more = spec[1:]
    return URLSpec(pattern, hosted(handler), *more)


def _settings(app: JupyterHub, cookie_secret: bytes) -> dict[str, Any]:
    prefix, said = app.hub_prefix, app.tornado_settings
    hub, environment = app.options.hub, _environments(app)
    secure = {"secure": True} if hub.public_url.startswith("https:") else {}
    token_cookie = secure | cookies.kept_as(said)
    return {
        "log": app.log,
        "log_function": _nothing,
        "app": app,
        "config": app.config,
        "db": app.db,
        "hub": app.hub,
        "authenticator": app.authenticator,
        "admin_users": app.authenticator.admin_users,
        "base_url": app.base_url,
        # The root decides, which knows about servers.
        "default_url": prefix if hub.redirect_to_server else f"{prefix}home",
        "redirect_to_server": hub.redirect_to_server,
        "public_url": urlsplit(hub.public_url) if hub.public_url else "",
        "subdomain_host": app.subdomain_host,
        "domain": app.domain,
        "cookie_host_prefix_enabled": app.cookie_host_prefix_enabled,
        "login_url": f"{prefix}login",
        "logout_url": app.authenticator.logout_url(prefix),
        "services": {},
        "cookie_secret": cookie_secret,
        "cookie_max_age_days": hub.cookie_max_age_days,
        "xsrf_cookies": True,
        "static_path": str(Path(app.data_files_path, "static")),
        "static_url_prefix": f"{prefix}{STATIC}",
        "static_handler_class": CacheControlStaticFilesHandler,
        "template_path": app.template_paths,
        "template_vars": app.template_vars,
        "jinja2_env": environment(is_async=True),
        "jinja2_env_sync": environment(is_async=False),
        "version_hash": JUPYTERHUB_VERSION,
        "allow_named_servers": hub.allow_named_servers,
        "shutdown_on_logout": False,  # apis do
        **said,
        "xsrf_cookie_kwargs": {**token_cookie, **said.get("xsrf_cookie_kwargs", {}), "path": prefix},
    }


def _environments(app: JupyterHub) -> Any:
    """Templates of the operator, of the authenticator, then JupyterHub's; those are found as `templates/` besides."""
    own = str(Path(app.data_files_path, "templates"))
    if own not in app.template_paths:
        app.template_paths.append(own)
    loader = ChoiceLoader([PrefixLoader({"templates": FileSystemLoader([own])}), FileSystemLoader(app.template_paths)])
    options = {"autoescape": True, **app.jinja_environment_options}
    return lambda *, is_async: Environment(loader=loader, enable_async=is_async, **options)  # noqa: S701


def _nothing(_: Any) -> None:
    """Requests are counted and traced where they come in."""
