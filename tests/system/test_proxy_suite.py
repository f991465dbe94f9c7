"""HAProxy, and jupyterhub-traefik-proxy with Traefik, pass the suites of proxies."""

import pytest

from proxy_hosts import HostSuite
from proxy_stage import Kind, as_traefik_writes
from proxy_suite import ProxySuite

pytestmark = pytest.mark.system

HAPROXY = Kind(config="c.JupyterHub.proxy_class = 'haproxy'", trusts_host=True)
#: The class for the file provider, unmodified.
TRAEFIK = Kind(
    config="c.JupyterHub.proxy_class = 'traefik_file'",
    writes=as_traefik_writes,
    cleans=True,
    no_server=frozenset({502}),
    hub_page=False,
)


class TestHAProxy(ProxySuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return HAPROXY


class TestHAProxyWithHosts(HostSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return HAPROXY


class TestTraefik(ProxySuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return TRAEFIK


class TestTraefikWithHosts(HostSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return TRAEFIK
