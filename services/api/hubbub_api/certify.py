"""Signs certificates for workers and proxy-syncs: for a server, only if it is theirs."""

import asyncpg
import msgspec
import structlog

from hubbub.domain.message import Forbidden, Invalid, Rejected, StaleAttempt
from hubbub.domain.server_states import Held, Server
from hubbub.internal_tls.authorities import Authorities, CannotSign
from hubbub.internal_tls.certificates import BadRequest, read
from hubbub.rpc import Certified, Certify, Refusal, Signed, SigningRequest

log = structlog.get_logger()

#: What each may have, by the word in its subjects that for a worker is its pool. With "server": that of a server.
_PROXY = frozenset({"proxy-sync", "proxy-api", "proxy-client"})
_WORKER = frozenset({"worker", "server"})
#: Signing costs a fraction of a millisecond.
MOST = 16

_STATE = msgspec.json.Decoder(Server)


class Certifier:
    """*authorities*: null without internal TLS."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", authorities: Authorities | None) -> None:
        self._pool = pool
        self._authorities = authorities

    async def certify(self, subject: str, payload: bytes) -> Certified:
        """Who asks is read from the subject, and whose certificate it will be from the log."""
        _, _, _, pool, name = subject.split(".")
        requests = msgspec.json.decode(payload, type=Certify).requests
        try:
            if len(requests) > MOST:
                raise Invalid(f"at most {MOST} certificates at a time")
            return Certified(signed=tuple([await self._one(pool, name, each) for each in requests]))
        except Rejected as refusal:
            log.warning("certificate.refused", by=name, pool=pool, reason=str(refusal))
            return Certified(refused=Refusal(kind=type(refusal).__name__, message=str(refusal)))

    async def _one(self, pool: str, name: str, sent: SigningRequest) -> Signed:
        if self._authorities is None:
            raise Invalid("c.JupyterHub.internal_ssl is not set here: all processes need the same configuration")
        if sent.part not in (_PROXY if pool == "proxy" else _WORKER):
            raise Forbidden(f"there is no certificate of {sent.part!r} for {name}")
        try:
            asked = read(sent.request)
            part, common_name, names = sent.part, f"{sent.part}-{name}", asked.alt_names
            if sent.part == "server":
                part, common_name, its_own = await self._held(pool, name, sent)
                names = (*names, its_own)
            signed = self._authorities.sign(part, asked, common_name, names)
        except (BadRequest, CannotSign) as error:
            raise Invalid(str(error)) from None
        log.info("certificate.signed", part=part, to=common_name, by=name, alt_names=";".join(names))
        return Signed(certificate=signed, trust=self._authorities.trust(part))

    async def _held(self, pool: str, worker: str, sent: SigningRequest) -> tuple[str, str, str]:
        """The part, the name and the alternative name of its own of the server that *worker* holds."""
        row = await self._pool.fetchrow(
            "select s.state, u.name from servers s left join users u on u.id = s.user_id where s.id = $1", sent.server
        )
        state = _STATE.decode(row["state"]) if row else None
        held = isinstance(state, Held) and (state.holder, state.pool, state.attempt) == (worker, pool, sent.attempt)
        if not held or row is None or not isinstance(state, Held):
            raise StaleAttempt("the attempt is not held by who asks")
        its_own = f"URI:urn:hubbub:server:{sent.server}:{sent.attempt}"
        if not state.user:
            return "service", f"service-{state.name}", its_own
        return "server", f"user-{row['name']}", its_own
