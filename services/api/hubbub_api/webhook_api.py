"""GET /webhooks, PATCH /webhooks/{webhook}: how far each was delivered, and having it delivered again."""

from typing import Annotated, Literal

import msgspec
import structlog
from aiohttp import web
from msgspec import UNSET, Meta, UnsetType

from hubbub.web.request import GATE, ApiError, identify, require
from hubbub.webhooks import Webhook
from hubbub_api import webhook_cursors as cursors
from hubbub_api.answers import answer, asked, stamp
from hubbub_api.endpoint import Endpoints
from hubbub_api.event_rights import SCOPE
from hubbub_api.keys import EVENTS, POOL
from hubbub_api.schemas import Stamp
from hubbub_api.webhook_cursors import Cursor

log = structlog.get_logger()

routes = Endpoints("events")

CHANGES = "admin-ui"
_TRIES = 10


class WebhookModel(msgspec.Struct, kw_only=True):
    """A webhook of the configuration. `url`: where it goes to, without what may be secret of it. `position`: everything
    up to there was delivered; `behind`: how many events of the log come after that, whether it wants them or not.

    `error`: why the newest delivery was not taken, null if it was; `attempts`: how often that was tried.
    """

    name: str
    url: str
    types: list[str]
    aggregates: list[str]
    users: list[str]
    position: int
    behind: int
    paused: bool
    attempts: int
    error: str | None
    failed_at: Stamp | None
    delivered_at: Stamp | None


class ChangedWebhook(msgspec.Struct, kw_only=True):
    """`position`: everything after it is delivered (again); `now`: only what happens from now on. `paused`: nothing is,
    until it is taken back.
    """

    position: Annotated[int, Meta(ge=0)] | Literal["now"] | UnsetType = UNSET
    paused: bool | UnsetType = UNSET


@routes.get("/webhooks", scopes=(SCOPE,), answers={200: list[WebhookModel]})
async def show(request: web.Request) -> web.Response:
    """Shows the webhooks of the configuration, and how far each was delivered. JupyterHub has no such thing."""
    require(await identify(request), SCOPE)
    return answer(await models(request))


@routes.patch("/webhooks/{webhook}", scopes=(CHANGES,), body=ChangedWebhook, answers={200: WebhookModel})
async def patch(request: web.Request) -> web.Response:
    """Moves the cursor of a webhook, so that events are delivered again or left out, or halts its deliveries.
    JupyterHub has no such thing.
    """
    identity = require(await identify(request), CHANGES)
    body, name = await asked(request, ChangedWebhook), request.match_info["webhook"]
    hook = next((each for each in request.app[GATE].options.ours.webhooks if each.name == name), None)
    if hook is None:
        raise ApiError(404, f"There is no webhook {name!r}")
    if body.position is UNSET and body.paused is UNSET:
        raise ApiError(400, "Nothing to change: give position or paused")
    head = await request.app[EVENTS].head()
    if isinstance(body.position, int) and body.position > head:
        raise ApiError(400, f"Invalid position: the log ends at {head}")
    for _ in range(_TRIES):  # it is being delivered, and moves
        before = await cursors.begin(request.app[POOL], name)
        after = _changed(before, body, head)
        if await cursors.move(request.app[POOL], name, before, after):
            await cursors.tell(request.app[POOL])
            log.info("webhook.changed", webhook=name, actor=identity.actor, position=after.position)
            return answer(_model(hook, after, head))
    raise ApiError(503, "The webhook is busy")


def _changed(cursor: Cursor, body: ChangedWebhook, head: int) -> Cursor:
    paused = cursor.paused if body.paused is UNSET else body.paused
    if body.position is UNSET:
        return msgspec.structs.replace(cursor, paused=paused)
    position = head if body.position == "now" else body.position
    return Cursor(epoch=cursor.epoch, position=position, paused=paused, delivered_at=cursor.delivered_at)


async def models(request: web.Request) -> list[WebhookModel]:
    """All of them, as the configuration has them."""
    hooks = request.app[GATE].options.ours.webhooks
    known = await cursors.all_of(request.app[POOL], [hook.name for hook in hooks])
    head = await request.app[EVENTS].head()
    return [_model(hook, known.get(hook.name, Cursor(epoch="", position=head)), head) for hook in hooks]


def _model(hook: Webhook, cursor: Cursor, head: int) -> WebhookModel:
    return WebhookModel(
        name=hook.name,
        url=hook.origin,
        types=list(hook.types),
        aggregates=list(hook.aggregates),
        users=list(hook.users),
        position=cursor.position,
        behind=max(0, head - cursor.position),
        paused=cursor.paused,
        attempts=cursor.attempts,
        error=cursor.error or None,
        failed_at=stamp(cursor.failed_at),
        delivered_at=stamp(cursor.delivered_at),
    )
