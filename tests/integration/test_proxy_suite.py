"""configurable-http-proxy passes the suites of proxies."""

import pytest

from proxy_hosts import HostSuite
from proxy_stage import Kind, as_browsers_write
from proxy_suite import ProxySuite

CHP = Kind(config="", writes=as_browsers_write, cleans=True, counts=True, trusts_host=True)


class TestConfigurableHTTPProxy(ProxySuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return CHP


class TestConfigurableHTTPProxyWithHosts(HostSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def kind(cls) -> Kind:
        return CHP
