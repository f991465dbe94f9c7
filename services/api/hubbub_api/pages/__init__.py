"""What people see: every page of the hub and every address outside its API, except auth's."""

from aiohttp import web

from hubbub_api.pages import accept_share, api_docs, assets, errors, home, pending, redirects, spawn, user_server


def routes(prefix: str) -> list[web.RouteDef]:
    """Register these last: the very last one takes every address outside *prefix* (`/hub/`)."""
    return [
        web.get(prefix, home.default),
        web.get(f"{prefix}home", home.show),
        *spawn.routes(prefix),
        web.get(f"{prefix}spawn-pending/{{owner}}", pending.show),
        web.get(f"{prefix}spawn-pending/{{owner}}/{{name}}", pending.show),
        *user_server.routes(prefix),
        *accept_share.routes(prefix),
        web.get(f"{prefix}api-docs", api_docs.show),
        web.get(f"{prefix}logo", assets.logo),
        web.get(f"{prefix}static/{{name}}", assets.serve),
        web.get(rf"{prefix}error/{{code:\d{{3}}}}", errors.of_proxy),
        web.post(f"{prefix}security/csp-report", errors.csp_report),
        *redirects.routes(prefix),
    ]
