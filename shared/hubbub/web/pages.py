"""Pages: one jinja2 environment a service, the house's templates below its own, autoescaped; the operator's above both.

An operator's templates are JupyterHub's (`c.JupyterHub.template_paths`): they replace ours of the same name, extend
`templates/<name>`, which is always ours, and may use whatever names JupyterHub's have.
"""

import hashlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import structlog
from aiohttp import web

from hubbub.access import Identity
from hubbub.config import Options
from hubbub.web import as_in_jupyterhub
from hubbub.web.operators_html import embed, marked, own, policy
from hubbub.web.request import GATE, ApiError, keep_xsrf, xsrf_token

log = structlog.get_logger()

ENVIRONMENT = web.AppKey("templates", jinja2.Environment)


@dataclass(frozen=True)
class Banner:
    """What an operator has everybody told on every page. `kind`: info or warning."""

    text: str
    kind: str


@dataclass(frozen=True)
class Link:
    """In the navigation. `here`: it leads to the page that it stands on, or to one above it."""

    title: str
    url: str
    here: bool = False


#: For everybody who is logged in: title and address below `/hub/`; and for those with the scope `admin-ui`.
LINKS = (("Home", "home"), ("Activity", "activity"), ("Tokens", "token"))
ADMIN = ("Admin", "admin")


def navigation(request: web.Request, identity: Identity | None) -> list[Link]:
    """The links of whoever is logged in, at the top of every page."""
    if identity is None:
        return []
    prefix = request.app[GATE].options.hub_prefix
    path = f"{request.rel_url.raw_path.removeprefix(prefix)}/"
    links = (*LINKS, ADMIN) if identity.may("admin-ui") else LINKS
    return [Link(title, prefix + place, here=path.startswith(f"{place}/")) for title, place in links]


#: What a service hangs on every page: names for the frame, as `BARE` has them. It must be quick.
Furniture = Callable[[web.Request, Identity | None], dict[str, Any]]
FURNITURE: "web.AppKey[Furniture]" = web.AppKey("furniture", Callable)  # type: ignore[arg-type]

#: The frame's names without any furniture.
BARE: dict[str, Any] = {"banner": None, "nav": (), "announcement": "", "own_logo": False, "head": None}


def environment(package: str, options: Options) -> jinja2.Environment:
    """Templates of the operator's folders, then those of *package* (in `templates`), then those all services share."""
    ours = jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("hubbub.web")])
    theirs = options.hub.template_paths
    loader = jinja2.ChoiceLoader([jinja2.PrefixLoader({"templates": ours}), own_loader := _Theirs(theirs), ours])
    usual: dict[str, Any] = {
        # What a template of ours forgets is a fault; one written for JupyterHub may know more names than there are.
        "undefined": jinja2.Undefined if theirs else jinja2.StrictUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }
    own = {name: value for name, value in options.hub.jinja_environment_options.items() if name != "autoescape"}
    made = jinja2.Environment(loader=loader, autoescape=True, **{**usual, **own})
    if theirs:
        made.globals[_HANDLERS] = own_loader.handlers
        made.globals[_OURS] = jinja2.Environment(loader=ours, autoescape=True, **usual)
    return made


#: Among the globals of an environment with templates of the operator's: one without, and what `_Theirs` has found.
_OURS, _HANDLERS = "_ours", "_handlers"


class _Theirs(jinja2.FileSystemLoader):
    """The operator's templates. `handlers`: hashes of the handlers in attributes of those that were loaded."""

    def __init__(self, folders: list[str]) -> None:
        super().__init__(folders)
        self.handlers: set[str] = set()

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, name, is_fresh = super().get_source(environment, template)
        source, handlers = marked(source)
        self.handlers |= handlers
        return source, name, is_fresh


def _rendered(environment: jinja2.Environment, template: str, names: dict[str, Any]) -> str:
    """*template*; of error pages `<status>.html` if there is such. What fails in an operator's is told in the log."""
    plain = environment.globals.get(_OURS)
    wanted = [f"{names['status_code']}.html", template] if "status_code" in names and plain else [template]
    try:
        return environment.select_template(wanted).render(**names)
    except Exception as error:
        if not isinstance(plain, jinja2.Environment):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{error.filename}:{error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else frames[-1]
        log.error("page.template_failed", template=template, error=str(error), place=str(place))
        if template != "error.html":
            raise ApiError(
                500, f"The template {template} of this hub does not work. Its operator finds more in the log."
            ) from None
        return plain.get_template(template).render(**names)


@cache
def _version(name: str) -> str:
    return hashlib.sha256(files("hubbub.web").joinpath("static", name).read_bytes()).hexdigest()[:12]


def _common(request: web.Request, identity: Identity | None) -> dict[str, Any]:
    """What every template may use."""
    options = request.app[GATE].options
    prefix, xsrf = options.hub_prefix, xsrf_token(request, identity)
    return {
        **BARE,
        "base_url": prefix,  # as JupyterHub's templates have it
        "prefix": options.base_url,
        "user": identity,
        "login_url": f"{prefix}login",
        "logout_url": f"{prefix}logout",
        "logo_link": f"{prefix}home",
        "own_logo": bool(options.hub.logo_file),
        "static_url": lambda name: f"{prefix}static/{name}?v={_version(name)}",
        "xsrf": xsrf,
        "xsrf_token": xsrf,
    }


def _operators(options: Options, identity: Identity | None) -> dict[str, Any]:
    """`c.JupyterHub.template_vars`: a callable among them is asked about the user (None: nobody is logged in)."""
    given = options.hub.template_vars
    return {name: value(identity) if callable(value) else value for name, value in given.items()}


def _announcement(request: web.Request, template: str, names: dict[str, Any]) -> str:
    """The operator's HTML above the page: `announcement_login` for `login.html`, else `announcement`."""
    own = names.get(f"announcement_{template.partition('.')[0]}")
    html = own if isinstance(own, str) else names.get("announcement") or ""
    return embed(request, html)[0]


def render(
    request: web.Request, template: str, identity: Identity | None = None, *, status: int = 200, **names: Any
) -> web.Response:
    """A page. Every template may use: base_url, prefix, user (an Identity or None), static_url(name), xsrf, what `BARE`
    names. *names* come before what the service hangs on every page.
    """
    options = request.app[GATE].options
    furniture = request.app.get(FURNITURE)
    common = {**_common(request, identity), **(furniture(request, identity) if furniture else {})}
    if options.hub.template_paths:
        common.update(as_in_jupyterhub.names(options, identity))
    common.update(_operators(options, identity))
    common["announcement"] = _announcement(request, template, common)
    if options.hub.template_paths:  # any page may have something of the operator's on it
        common["csp_nonce"] = own(request)
    environment = request.app[ENVIRONMENT]
    text = _rendered(environment, template, {**common, **names})
    if options.hub.template_paths:
        handlers: Any = environment.globals[_HANDLERS]  # all there are, by now
        own(request, handlers)
    response = web.Response(text=text, content_type="text/html", status=status)
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(policy(request))
    keep_xsrf(request, response, identity)
    return response
