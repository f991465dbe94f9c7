"""HAProxy, for many users: a map that is changed by its runtime socket says where a request leads."""

from hubbub_proxy_sync.proxies.haproxy.driver import HAProxy

__all__ = ["HAProxy"]
