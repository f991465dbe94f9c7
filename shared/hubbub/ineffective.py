"""Which options of the operator's configuration have no effect, for the warnings at the start."""

from collections.abc import Collection, Mapping

from traitlets.config import Config

from hubbub import pools, proxy_class
from hubbub.honoured import HONOURED
from hubbub.sections import Hub, class_names, is_of_others


def is_of(section: str, classes: Collection[str]) -> bool:
    """Whether *section* has options of one of *classes*, as far as names tell.

    What a class is derived from that a package has announced is known to those alone who import it.
    """
    if section in classes:
        return True
    ending = next((each for each in ("Authenticator", "Spawner", "Proxy") if section.endswith(each)), None)
    return ending is not None and any(each.endswith(ending) and each not in HONOURED for each in classes)


def not_honoured(traits: Config, hub: Hub, known: Collection[pools.Pool]) -> list[str]:
    """Options of sections that nobody knows are named too: but for those of the operator's own classes."""
    classes = [hub.spawner_class, hub.authenticator_class, *(pool.spawner_class for pool in known)]
    theirs = {name for kind in classes if kind is not None for name in class_names(kind)}
    theirs.update(proxy_class.sections(hub.proxy_class, traits))
    others = class_names(hub.authenticator_class)[-1] if is_of_others(hub.authenticator_class) else ""
    return sorted(
        f"c.{section}.{name} is set, but has no effect in this release"
        for section, values in traits.items()
        if isinstance(values, Mapping) and section != others and (section in HONOURED or not is_of(section, theirs))
        for name in values
        if name not in HONOURED.get(section, ())
    )
