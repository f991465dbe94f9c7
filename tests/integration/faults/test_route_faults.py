"""configurable-http-proxy stands the faults of routes."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fronts import ChpFront
from proxy_rig import Front
from route_faults import RouteFaults

pytestmark = pytest.mark.asyncio(loop_scope="class")


class TestChp(RouteFaults):
    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def front(cls) -> AsyncIterator[Front]:
        yield ChpFront()


@pytest.mark.long
class TestChpWithThousands(TestChp):
    size = 5000
    refill = 6.0
