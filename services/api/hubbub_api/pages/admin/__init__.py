"""The admin room: what operators see and do."""

from aiohttp import web

from hubbub_api.pages.admin import (
    events,
    group,
    groups,
    house,
    overview,
    past,
    queue,
    roles,
    services,
    starts,
    stuck,
    usage,
    user,
    users,
    workers,
)
from hubbub_api.pages.admin import routes as proxy_routes


def routes(prefix: str) -> list[web.RouteDef]:
    """Below `/hub/admin`."""
    return [
        web.get(f"{prefix}admin", overview.show),
        web.get(f"{prefix}admin/workers", workers.listing),
        web.get(f"{prefix}admin/workers/{{worker}}", workers.show),
        web.get(f"{prefix}admin/queue", queue.show),
        web.get(f"{prefix}admin/routes", proxy_routes.show),
        web.get(f"{prefix}admin/stuck", stuck.show),
        web.get(f"{prefix}admin/house", house.show),
        *users.routes(prefix),
        *user.routes(prefix),
        *groups.routes(prefix),
        *group.routes(prefix),
        *roles.routes(prefix),
        *services.routes(prefix),
        *starts.routes(prefix),
        *usage.routes(prefix),
        *events.routes(prefix),
        *past.routes(prefix),
    ]
