"""What the proxy and we ourselves need for internal TLS."""

from hubbub.bus import Bus
from hubbub.config import Options
from hubbub.internal_tls import options as tls
from hubbub.internal_tls import orders
from hubbub.internal_tls.files import Files
from hubbub.settings import Settings, give_up
from hubbub.subjects import token


async def obtain(bus: Bus, options: Options, settings: Settings) -> dict[str, Files]:
    """By part. The proxy of an earlier proxy-sync goes on: its files are the same unless the authorities are others."""
    wants: dict[str, tuple[str, ...]] = {"proxy-sync": ()}
    if options.proxy_should_start:
        wants |= {"proxy-api": tls.proxy_names(options), "proxy-client": ()}
    name = token(settings.instance)
    try:
        return await orders.obtain(bus, f"hub.rpc.certify.proxy.{name}", settings.data_folder / "tls" / name, wants)
    except orders.Refused as error:
        give_up(f"no certificate for the proxy: {error}")
