"""Pages: one jinja2 environment a service, the house's templates below its own, autoescaped."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from aiohttp import web

from hubbub.access import Identity
from hubbub.web.request import GATE, keep_xsrf, xsrf_token

ENVIRONMENT = web.AppKey("templates", jinja2.Environment)


def environment(package: str) -> jinja2.Environment:
    """Templates of *package* (its `templates` folder), then those all services share."""
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("hubbub.web")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _version(name: str) -> str:
    return hashlib.sha256(files("hubbub.web").joinpath("static", name).read_bytes()).hexdigest()[:12]


def render(
    request: web.Request, template: str, identity: Identity | None = None, *, status: int = 200, **names: Any
) -> web.Response:
    """A page. Every template may use: base_url, prefix, user (an Identity or None), static_url(name), xsrf."""
    prefix = request.app[GATE].options.hub_prefix
    text = (
        request.app[ENVIRONMENT]
        .get_template(template)
        .render(
            base_url=request.app[GATE].options.base_url,
            prefix=prefix,
            user=identity,
            login_url=f"{prefix}login",
            logout_url=f"{prefix}logout",
            static_url=lambda name: f"{prefix}static/{name}?v={_version(name)}",
            xsrf=xsrf_token(request, identity),
            **names,
        )
    )
    response = web.Response(text=text, content_type="text/html", status=status)
    response.headers["Cache-Control"] = "no-store"
    keep_xsrf(request, response, identity)
    return response
