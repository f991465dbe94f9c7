"""What people see: every page of the hub and every address outside its API, except auth's."""

from aiohttp import web

from hubbub_api.pages import (
    accept_share,
    activity,
    admin,
    api_docs,
    assets,
    errors,
    front_door,
    home,
    missed,
    pending,
    redirects,
    sessions,
    sharing,
    spawn,
    start,
    tokens,
    user_server,
)


def routes(prefix: str) -> list[web.RouteDef]:
    """Register these last: the very last one takes every address outside *prefix* (`/hub/`)."""
    return [
        *front_door.routes(prefix),
        *home.routes(prefix),
        *spawn.routes(prefix),
        *pending.routes(prefix),
        *user_server.routes(prefix),
        *missed.routes(prefix),
        *accept_share.routes(prefix),
        *sessions.routes(prefix),
        *sharing.routes(prefix),
        *tokens.routes(prefix),
        *activity.routes(prefix),
        *start.routes(prefix),
        *admin.routes(prefix),
        web.get(f"{prefix}api-docs", api_docs.show),
        web.get(f"{prefix}logo", assets.logo),
        web.get(f"{prefix}favicon.ico", assets.logo),
        web.get(f"{prefix}static/{{name}}", assets.serve),
        web.get(rf"{prefix}error/{{code:\d{{3}}}}", errors.of_proxy),
        web.post(f"{prefix}security/csp-report", errors.csp_report),
        *redirects.routes(prefix),
    ]
