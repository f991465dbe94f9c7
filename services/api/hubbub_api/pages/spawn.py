"""Starting a server from the browser: with the options of a form or of the address, or at once if there is no form.

A link of ours starts it; one on another site only offers to.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from aiohttp import web

from hubbub import house
from hubbub.access import Identity
from hubbub.domain.message import Rejected
from hubbub.domain.names import check_server_name
from hubbub.form_messages import FormAnswered, FormRefusal
from hubbub.web.next_url import asked_for, keeping_query, with_query
from hubbub.web.operators_html import embed
from hubbub.web.pages import render
from hubbub.web.posted import posted
from hubbub.web.request import GATE, redirect, require
from hubbub_api import servers
from hubbub_api.answers import headers_of, status_of
from hubbub_api.forms import NoWorker, TooLarge
from hubbub_api.keys import FORMS, HOUSE, VIEWS
from hubbub_api.pages.asking import logged_in, owner_of
from hubbub_api.pages.card import Card, card
from hubbub_api.pages.options import OFFER, Fields, asked, from_form, from_query, web_request, without_options
from hubbub_api.rows import ServerRow, UserRow

_RETRY_AFTER = 5


@dataclass(frozen=True, kw_only=True)
class Spawn:
    """Somebody's wish to start a server. `row` null: there has never been one of that name."""

    request: web.Request
    identity: Identity
    owner: UserRow
    name: str
    row: ServerRow | None

    @property
    def card(self) -> Card:
        return _card(self.request, self.owner.name, self.name, self.row, viewer=self.identity.name)


def routes(prefix: str) -> list[web.RouteDef]:
    paths = (f"{prefix}spawn", f"{prefix}spawn/{{owner}}", f"{prefix}spawn/{{owner}}/{{name}}")
    return [
        # Without HEAD: it must have no effect.
        *(web.get(path, show, allow_head=False) for path in paths),
        *(web.post(path, submit) for path in paths),
    ]


@logged_in
async def show(request: web.Request, identity: Identity) -> web.StreamResponse:
    spawn = await _wish(request, identity)
    options, elsewhere = from_query(request), _from_elsewhere(request)
    if options:
        return _page(spawn, options=options) if elsewhere else await _start_with(spawn, "query", fields=options)
    form = await _form(spawn)
    if isinstance(form, web.Response):
        return form
    if form.html or elsewhere:
        return _page(spawn, form=form.html)
    return await _start(spawn)


@logged_in
async def submit(request: web.Request, identity: Identity) -> web.StreamResponse:
    """A form that was filled in, or a mere Start button, which does what the address says."""
    spawn = await _wish(request, identity)
    if OFFER in await posted(request):
        options = from_query(request)
        return await (_start_with(spawn, "query", fields=options) if options else _start(spawn))
    fields, files = await from_form(request)
    if not fields and not files and _has_none(spawn):
        return await _start(spawn)
    return await _start_with(spawn, "posted", fields=fields, files=files)


async def _wish(request: web.Request, identity: Identity) -> Spawn:
    name = request.match_info.get("name", "")
    require(identity, "servers", user=request.match_info.get("owner", identity.name), server=name)
    owner = await owner_of(request, identity)
    spawn = Spawn(
        request=request,
        identity=identity,
        owner=owner,
        name=name,
        row=await request.app[VIEWS].server(owner.name, name),
    )
    _go_where_it_is(spawn)
    if name and spawn.row is None:
        if not request.app[GATE].options.hub.allow_named_servers:
            raise Rejected("Named servers are not enabled.")
        check_server_name(name)
    return spawn


def _from_elsewhere(request: web.Request) -> bool:
    """Whether another site sent the browser here, or it only looks ahead: no reason to start anything."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    return site not in ("none", "same-origin") or "prefetch" in request.headers.get("Sec-Purpose", "")


def _go_where_it_is(spawn: Spawn) -> None:
    """A server that runs or is on its way is not started again."""
    request, row = spawn.request, spawn.row
    if row and row.ready:
        place = request.app[GATE].options.hosts.link(row.owner, row.prefix or "")
        redirect(asked_for(request) or keeping_query(place, request, "display_name"))
    if row and row.pending:
        _follow(request, row)


def _follow(request: web.Request, row: ServerRow) -> NoReturn:
    place = keeping_query(_card(request, row.owner, row.name, row).pending_url, request, "display_name")
    wish = asked_for(request)
    redirect(with_query(place, ("next", wish)) if wish else place)


# Asking the operator's code -----------------------------------------------------------------


async def _form(spawn: Spawn) -> FormAnswered | web.Response:
    """The options form, or the page that says why there is none to be had."""
    try:
        form = await _asked(spawn, "form")
    except NoWorker as error:
        return _nobody(spawn, error)
    except TooLarge:
        return _page(spawn, status=500, problem="What the hub knows of you is too large to ask for an options form")
    return _refused(spawn, form.refused, form.html) if form.refused else form


async def _start_with(spawn: Spawn, kind: str, **typed: Any) -> web.StreamResponse:
    """Start it with the options that *typed* comes to."""
    try:
        answered = await _asked(spawn, kind, **typed)
    except NoWorker as error:
        return _nobody(spawn, error)
    except TooLarge as error:
        form = await _form_again(spawn)
        large = f"What you entered is too large: with its files it may have about {error.limit // 1000} kB"
        return _page(spawn, status=413, problem=large, form=form)
    if answered.refused:
        return _refused(spawn, answered.refused, answered.html)
    fields = typed["fields"] if kind == "posted" else {}
    return await _start(spawn, options=answered.options, fields=fields)


async def _asked(spawn: Spawn, kind: str, **typed: Any) -> FormAnswered:
    request = spawn.request
    if kind == "form" and _has_none(spawn):
        return FormAnswered()
    question = await asked(request, spawn.identity, spawn.owner, spawn.row, kind, **typed)
    return await request.app[FORMS].ask(question)


def _has_none(spawn: Spawn) -> bool:
    """Whether it needs no asking: there is no form."""
    forms = spawn.request.app[FORMS]
    return forms.are_none(forms.pool_of(spawn.owner.name, spawn.owner.groups))


async def _form_again(spawn: Spawn) -> str:
    """For a page that says what went wrong, whatever becomes of it."""
    with suppress(NoWorker, TooLarge):
        return (await _asked(spawn, "form")).html
    return ""


async def _start(
    spawn: Spawn, options: dict[str, Any] | None = None, fields: Fields | None = None
) -> web.StreamResponse:
    request, identity = spawn.request, spawn.identity
    title = request.query.get("display_name", "") if spawn.row is None else ""
    said = web_request(request, identity, fields)
    try:
        row = await servers.start(request, identity, spawn.owner, spawn.name, options, title, asked=said)
    except Rejected as refusal:
        form = await _form_again(spawn)
        page = _page(spawn, status=status_of(refusal), problem=str(refusal), form=form)
        page.headers.update(headers_of(refusal))
        return page
    _follow(request, row)


# What is shown --------------------------------------------------------------------------------


def _nobody(spawn: Spawn, error: NoWorker) -> web.Response:
    page = _page(
        spawn, status=503, problem=f"{error} The options of this server cannot be shown. Try again in a moment."
    )
    page.headers["Retry-After"] = str(_RETRY_AFTER)
    return page


def _refused(spawn: Spawn, refusal: FormRefusal, form: str) -> web.Response:
    """In place: the form once more, with the words of the operator's code."""
    page = _page(spawn, status=refusal.status, problem=refusal.message, html_problem=refusal.html, form=form)
    page.headers.update(refusal.headers)
    return page


def _page(
    spawn: Spawn,
    *,
    status: int = 200,
    problem: str = "",
    html_problem: str = "",
    form: str = "",
    options: Fields | None = None,
) -> web.Response:
    """The options form, or a Start button; and what stood in the way before. *form*, *html_problem*: the operator's
    HTML, to be trusted as their configuration is. *options*: those in the address, which the button would start with.
    """
    request = spawn.request
    form, html_problem = embed(request, form, html_problem)
    paused = request.app[HOUSE].paused
    return render(
        request,
        "spawn.html",
        spawn.identity,
        status=status,
        server=spawn.card,
        action=without_options(request) if problem else request.rel_url.raw_path_qs,
        problem=problem,
        html_problem=html_problem,
        form=form,
        options=options or {},
        paused=house.why(paused) if paused and not problem else "",
    )


def _card(request: web.Request, owner: str, name: str, row: ServerRow | None, viewer: str = "") -> Card:
    return card(row, owner, name, request.app[GATE].options, viewer=viewer)
