"""HAProxy and Traefik stand the faults of routes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fronts import HaproxyFront, TraefikFront
from proxy_rig import Front
from route_faults import RouteFaults, Stage

pytestmark = pytest.mark.asyncio(loop_scope="class")


class TestHaproxy(RouteFaults):
    size = 5000
    refill = 1.0

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def front(cls) -> AsyncIterator[Front]:
        yield HaproxyFront()


class TestTraefik(RouteFaults):
    """With few routes: it takes seconds to load thousands."""

    size = 200
    refill = 3.0

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def front(cls) -> AsyncIterator[Front]:
        yield TraefikFront()

    async def test_what_another_has_written_meanwhile_is_not_written_over(self, stage: Stage) -> None:
        """After this point nothing is asked any more, but the file looked at."""
        await self.struck_beside_another(stage, "proxy.before_sent", 1, "stop")
