"""What a worker takes for true until the api has said what is."""

from hubbub.domain.server_states import Held, Spawning
from hubbub.rpc import Person, Spec
from hubbub_spawner_worker.workshop import Workshop


def spawning(spec: Spec, workshop: Workshop) -> Spawning:
    """What a claimed attempt is, as far as its holder needs to know: `since` is nothing to it."""
    return Spawning(
        user=spec.person.id,
        name=spec.name,
        display_name=spec.display_name,
        attempt=spec.attempt,
        pool=workshop.options.ours.pool,
        prefix=spec.prefix,
        since=spec.deadline,
        deadline=spec.deadline,
        holder=workshop.worker,
        host=workshop.host,
    )


def nobodys(server: str, state: Held) -> Spec:
    return Spec(
        server=server,
        attempt=state.attempt,
        person=Person(id=state.user, number=0, name="", admin=False),
        name=state.name,
        prefix=state.prefix,
        hash="",
        sealed="",
        deadline=state.deadline,
        client_id="",
        token_scopes=(),
        access_scopes=(),
    )
