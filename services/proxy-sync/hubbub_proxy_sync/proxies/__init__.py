"""The proxies that proxy-sync knows how to drive."""

import os
import shlex
import shutil
from collections.abc import Sequence
from urllib.parse import urlsplit

from hubbub.config import Options
from hubbub.settings import Settings, give_up
from hubbub_proxy_sync.proxies.base import Proxy
from hubbub_proxy_sync.proxies.chp import ConfigurableHTTPProxy
from hubbub_proxy_sync.proxies.process import Program

_CHP = frozenset({"", "default", "configurable-http-proxy", "jupyterhub.proxy.ConfigurableHTTPProxy"})
_EVERYWHERE = frozenset({"", "*", "0.0.0.0", "::"})


def make(options: Options, settings: Settings) -> Proxy:
    """The proxy of the configuration. Ends the process, naming it, if there is no such proxy."""
    chosen = options.traits.get("JupyterHub", {}).get("proxy_class", "")
    name = f"{chosen.__module__}.{chosen.__qualname__}" if isinstance(chosen, type) else str(chosen)
    if isinstance(chosen, type) and issubclass(chosen, Proxy):
        return chosen(config=options.traits)
    if name not in _CHP:
        give_up(f"c.JupyterHub.proxy_class is {name}, but this release drives configurable-http-proxy alone")
    return _chp(options, settings)


def _chp(options: Options, settings: Settings) -> ConfigurableHTTPProxy:
    token = options.proxy.auth_token or settings.proxy_auth_token
    if not token:
        give_up("the proxy has no token: CONFIGPROXY_AUTH_TOKEN is not set, nor c.ConfigurableHTTPProxy.auth_token")
    return ConfigurableHTTPProxy(
        api_url=options.proxy_api_url,
        token=token,
        public_url=_reached(options.bind_url),
        program=_program(options, settings, token) if options.proxy_should_start else None,
        concurrency=options.proxy.concurrency,
        check_interval=options.proxy.check_running_interval,
    )


def _program(options: Options, settings: Settings, token: str) -> Program:
    command = _command(settings.chp_command or options.proxy.command)
    if shutil.which(command[0]) is None:
        give_up(f"c.ConfigurableHTTPProxy.command is {shlex.join(command)}, but there is no program {command[0]}")
    return Program(
        command,
        _arguments(options),
        _environment(token),
        record=settings.data_folder / "run" / f"proxy-{settings.instance}.json",
        log=settings.data_folder / "log" / f"proxy-{settings.instance}.log",
    )


def _arguments(options: Options) -> list[str]:
    public, api = urlsplit(options.bind_url), urlsplit(options.proxy_api_url)
    arguments = {
        "ip": public.hostname or "",
        "port": str(public.port or 80),
        "api-ip": api.hostname or "127.0.0.1",
        "api-port": str(api.port or 80),
        "default-target": options.hub_connect_url,
        "error-target": f"{options.hub_connect_url}{options.hub_prefix}error",
        "log-level": "debug" if options.proxy.debug else options.proxy.log_level,
    }
    return [argument for name, value in arguments.items() for argument in (f"--{name}", value)]


def _environment(token: str) -> dict[str, str]:
    """Ours, without the secrets that are none of the proxy's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUBBUB_", "OTEL_"))}
    return kept | {"CONFIGPROXY_AUTH_TOKEN": token}


def _command(configured: str | Sequence[str]) -> list[str]:
    command = [configured] if isinstance(configured, str) else list(configured)
    if not command:
        give_up("c.ConfigurableHTTPProxy.command is empty")
    return command


def _reached(bind_url: str) -> str:
    """Where a proxy that listens there is reached from this machine. It starts without TLS in this release."""
    parts = urlsplit(bind_url)
    host = "127.0.0.1" if (parts.hostname or "") in _EVERYWHERE else parts.hostname or ""
    return f"http://{f'[{host}]' if ':' in host else host}:{parts.port or 80}"
