"""Which ports this run needs, by what the operator configured and asked for."""

from collections.abc import Mapping

from hubbub.config import Options as Config
from hubbub.proxy_class import has_api
from hubbub_local.addresses import Address
from hubbub_local.options import Options
from hubbub_local.ports import Wish

_OF_SCHEME = {"http": 80, "https": 443}


def of(options: Options, config: Config) -> Mapping[str, Wish]:
    """By name: public, hub, proxy, postgres, nats; of these, what this stack itself will listen on.

    A second proxy has `public-2` and `proxy-2`: any free ports, at the hosts of the first.
    """
    wishes = {}
    public, hub, proxy = (Address(url) for url in (config.bind_url, config.hub_bind_url, config.proxy_api_url))
    if config.proxy_should_start:
        said = config.bind_configured if options.port is None else False
        wishes["public"] = _wish("the public address", public, 8000, said=said, asked=options.port)
        for number in range(2, options.proxies + 1):
            wishes[of_proxy("public", number)] = Wish(what=f"public address {number}", host=public.host)
    if config.proxy_should_start and has_api(config.hub.proxy_class):
        wishes["proxy"] = _wish("the proxy's API", proxy, 8001, said=config.proxy_api_configured)
        for number in range(2, options.proxies + 1):
            wishes[of_proxy("proxy", number)] = Wish(what=f"the API of proxy {number}", host=proxy.host)
    if hub.is_tcp:
        wishes["hub"] = _wish("the hub", hub, 8081, said=config.hub_configured)
    if not options.postgres:
        wishes["postgres"] = Wish(what="Postgres")
    if not options.nats:
        wishes["nats"] = Wish(what="NATS", host=options.nats_host)
    return wishes


def of_proxy(what: str, number: int) -> str:
    """Under which name the port of a proxy is kept; the first is 1."""
    return what if number == 1 else f"{what}-{number}"


def _wish(what: str, address: Address, usual: int, *, said: bool, asked: int | None = None) -> Wish:
    configured = (address.port or _OF_SCHEME[address.scheme]) if said else None
    return Wish(what=what, host=address.host, usual=usual, configured=asked or configured)
