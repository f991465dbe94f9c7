"""Where the parts of the house listen and are reached, as the operator's configuration and the environment say."""

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from traitlets.config import Config

from hubbub.addresses import BadAddress, netloc, parsed, quoted, slashed
from hubbub.sections import ConfigError, Hub, ProxyOptions
from hubbub.settings import Settings


class Places:
    """The addresses among the `Options`. What the environment says counts more than the file."""

    traits: Config
    hub: Hub
    proxy: ProxyOptions
    _settings: Settings
    _of_proxy: Collection[str]

    @cached_property
    def bind_url(self) -> str:
        """Where people come in, e.g. http://0.0.0.0:8000/base/. `ip`, `port` and `base_url` feed `bind_url`."""
        if self._settings.bind_url:
            parts = urlsplit(self._settings.bind_url)
            return parts._replace(path=quoted(slashed(parts.path, leading=True)), scheme=self._scheme(parts)).geturl()
        hub, said = self.hub, self.traits.get("JupyterHub", {})
        parts = parsed(hub.bind_url or "http://:8000/")
        if "ip" in said or "port" in said:
            ip = hub.ip if "ip" in said else parts.hostname or ""
            parts = parts._replace(netloc=netloc(ip, hub.port if "port" in said else parts.port))
        if "base_url" in said:
            parts = parts._replace(path=hub.base_url)
        path = quoted(slashed(parts.path, leading=True))
        return parts._replace(path=path, scheme=self._scheme(parts), query="", fragment="").geturl()

    def _scheme(self, parts: SplitResult) -> str:
        """A proxy of ours speaks TLS if there is a certificate, whatever was said; of others we know only that."""
        if self.hub.ssl_cert:
            return "https"
        return "http" if self.proxy.should_start else parts.scheme

    @cached_property
    def bind_configured(self) -> bool:
        return any(name in self.traits.get("JupyterHub", {}) for name in ("bind_url", "port"))

    @cached_property
    def base_url(self) -> str:
        """`/`, or `/base/`."""
        return slashed(urlsplit(self.bind_url).path or "/", leading=True)

    @property
    def hub_prefix(self) -> str:
        return f"{self.base_url}hub/"

    @cached_property
    def hub_path(self) -> str:
        """The same, unquoted."""
        return unquote(self.hub_prefix)

    @cached_property
    def hub_bind_url(self) -> str:
        """Where the api listens, e.g. http://127.0.0.1:8081/hub/."""
        if self._settings.hub_bind_url:
            return self._inside(slashed(self._settings.hub_bind_url))
        hub = self.hub
        address = hub.hub_bind_url or f"http://{netloc(hub.hub_ip, hub.hub_port)}"
        parts = urlsplit(address)
        return self._inside(f"{parts.scheme}://{parts.netloc}{self.hub_prefix}")

    @cached_property
    def hub_configured(self) -> bool:
        return any(name in self.traits.get("JupyterHub", {}) for name in ("hub_bind_url", "hub_port"))

    @property
    def hub_ip(self) -> str:
        """Where the api listens; an empty one means every address, as in JupyterHub."""
        return urlsplit(self.hub_bind_url).hostname or "0.0.0.0"

    @property
    def hub_port(self) -> int:
        return urlsplit(self.hub_bind_url).port or 8081

    @cached_property
    def hub_connect_url(self) -> str:
        """How servers, services and the proxy reach the api, without a path: http://127.0.0.1:8081."""
        hub = self.hub
        if hub.hub_connect_url:
            parts = urlsplit(hub.hub_connect_url)
            return self._inside(f"{parts.scheme}://{parts.netloc}")
        ip = hub.hub_connect_ip or (self.hub_ip if self.hub_ip not in ("0.0.0.0", "::") else "127.0.0.1")
        return self._inside(f"http://{netloc(ip, self.hub_port)}")

    @property
    def hub_api_url(self) -> str:
        return f"{self.hub_connect_url}{self.hub_prefix}api"

    @cached_property
    def proxy_api_url(self) -> str:
        url = (self._settings.proxy_api_url or self.proxy.api_url).rstrip("/")
        return self._inside(url) if self.proxy_should_start else url

    @cached_property
    def proxy_api_configured(self) -> bool:
        return any("api_url" in self.traits.get(section, {}) for section in self._of_proxy)

    @property
    def proxy_should_start(self) -> bool:
        return self.proxy.should_start

    def _inside(self, url: str) -> str:
        """*url*, of a part of the house: by TLS, if all of them are."""
        return url.replace("http://", "https://", 1) if self.hub.internal_ssl else url

    @property
    def certs_folder(self) -> Path:
        """Where the authorities of internal TLS are; a relative path is one below the data folder."""
        return self._settings.data_folder / self.hub.internal_certs_location

    def check_addresses(self) -> None:
        for name in ("port", "hub_port"):
            if not 0 < getattr(self.hub, name) < 65_536:
                raise ConfigError(f"c.JupyterHub.{name} is {getattr(self.hub, name)}: it must be between 1 and 65535")
        given = {
            **{
                f"c.JupyterHub.{name}": getattr(self.hub, name)
                for name in ("bind_url", "hub_bind_url", "hub_connect_url")
            },
            "c.ConfigurableHTTPProxy.api_url": self.proxy.api_url,
            "HUBBUB_BIND_URL": self._settings.bind_url,
            "HUBBUB_HUB_BIND_URL": self._settings.hub_bind_url,
            "HUBBUB_PROXY_API_URL": self._settings.proxy_api_url,
        }
        for name, url in given.items():
            try:
                _ = parsed(url) if url else None
            except BadAddress as error:
                raise ConfigError(f"{name}: {error}") from None
