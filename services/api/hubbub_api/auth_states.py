"""Answers workers whose hooks have something to say of what is kept of a person since their login."""

import msgspec
import structlog
from cryptography.fernet import InvalidToken, MultiFernet

from hubbub.domain.message import Invalid, Json, Rejected, StaleAttempt
from hubbub.domain.server_states import Held, Server
from hubbub.eventlog import Context
from hubbub.handle import Committer
from hubbub.rpc import Done, Refusal, SaveAuthState
from hubbub.transaction import Transaction
from hubbub.views import SERVERS
from hubbub_api.specs import LARGEST_AUTH_STATE

log = structlog.get_logger()

_STATE = msgspec.json.Decoder(Json | None)


class AuthStates:
    def __init__(self, committer: Committer, bus_key: MultiFernet) -> None:
        self._committer = committer
        self._bus_key = bus_key

    async def save(self, subject: str, payload: bytes) -> Done:
        """Keep, in the vault, what a hook has saved of the owner of a server. It has to be held by who asks."""
        _, _, _, _, worker = subject.split(".")
        asked = msgspec.json.decode(payload, type=SaveAuthState)

        async def body(tx: Transaction) -> None:
            state: Server = await tx.state(SERVERS, asked.server)
            if not isinstance(state, Held) or (state.attempt, state.holder) != (asked.attempt, worker):
                raise StaleAttempt
            if not state.user:
                raise Invalid("a service is nobody")
            data = self._opened(asked.sealed)
            if data is None:
                tx.later("delete from vault where key = $1", f"auth_state:{state.user}")
                return
            await tx.know(state.user)
            tx.remember(f"auth_state:{state.user}", state.user, data)

        try:
            await self._committer.submit(body, Context.of(f"worker:{worker}"), [(SERVERS, asked.server)])
        except Rejected as refusal:
            log.info("auth_state.refused", server=asked.server, worker=worker, why=str(refusal))
            return Done(refused=Refusal(kind=type(refusal).__name__, message=str(refusal)))
        return Done()

    def _opened(self, sealed: str) -> bytes | None:
        """JSON; None for null. Raises `Invalid`."""
        try:
            data = self._bus_key.decrypt(sealed.encode())
            state = _STATE.decode(data)
        except InvalidToken:
            raise Invalid("it was not sealed with the bus key") from None
        except msgspec.MsgspecError as error:
            raise Invalid(f"an auth state is an object: {error}") from None
        if len(sealed) > LARGEST_AUTH_STATE:
            raise Invalid(f"an auth state of {len(data)} bytes, which are too many: {LARGEST_AUTH_STATE} sealed ones")
        return None if state is None else msgspec.json.encode(state)
