"""A server that runs already becomes one of ours: as if JupyterHub were a worker that has started it, and is gone."""

from datetime import timedelta

from hubbub.domain.server_messages import ClaimAttempt, LoseAttempt, ReportResponded, ReportStarted, StartServer
from hubbub.moving.survey import Place
from hubbub.moving.theirs import TheirServer
from hubbub.transaction import Transaction
from hubbub.views import SERVERS

#: Who has held them so far. Of processes the holder stays this one until a worker of their host has found them.
HOLDER = "jupyterhub"
#: How long they wait for a worker, and for their routes.
PATIENCE = timedelta(days=1)


async def run(tx: Transaction, id: str, server: TheirServer, place: Place, token: str) -> None:
    """*id*, *token*: those of the server and of its own API token here; "" if that is unknown."""
    deadline, attempt = tx.now + PATIENCE, 1
    started = server.started or tx.now
    await tx.act(
        SERVERS, id, StartServer(at=started, pool=place.pool, prefix=server.prefix, deadline=deadline, retries=0)
    )
    claim = ClaimAttempt(
        attempt=attempt, worker=HOLDER, host=place.host, token=token, deadline=deadline, reach=place.reach
    )
    await tx.act(SERVERS, id, claim)
    await tx.act(SERVERS, id, ReportStarted(attempt=attempt, worker=HOLDER, url=server.url, deadline=deadline))
    await tx.act(SERVERS, id, ReportResponded(attempt=attempt, worker=HOLDER, deadline=deadline))
    if place.reach != "process":
        lost = LoseAttempt(attempt=attempt, worker=HOLDER, reason="JupyterHub was stopped", deadline=deadline)
        await tx.act(SERVERS, id, lost)
