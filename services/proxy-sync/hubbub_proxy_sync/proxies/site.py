"""The house, as a proxy in front of it has to know it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Hub:
    """By JupyterHub's names. `url`: e.g. http://127.0.0.1:8081/hub/; `host`: the same without a path."""

    url: str
    routespec: str = "/"

    @property
    def host(self) -> str:
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    @property
    def base_url(self) -> str:
        """The path of the hub's pages, e.g. /hub/."""
        return self.url.removeprefix(self.host)


@dataclass(frozen=True, kw_only=True)
class Site:
    """`name`: that of this proxy. `bind_url`: where people come in, with the path of the house. `folder`: where what
    has to outlive us is kept. `token`: the secret of the proxy's API. `api_url`: where that is; "" if nobody has said.
    `command`: the proxy that was installed with us.
    """

    name: str = "proxy"
    bind_url: str = "http://127.0.0.1:8000/"
    hub: Hub = Hub(url="http://127.0.0.1:8081/hub/")
    host_routing: bool = False
    ssl_key: str = ""
    ssl_cert: str = ""
    folder: Path = Path()
    token: str = ""
    api_url: str = ""
    command: tuple[str, ...] = ()
