"""What a proxy of any make has to do under a whole hub: the suite that all of them pass.

A kind of proxy is tested by a class derived from `ProxySuite`, with a class-scoped fixture `kind`. What may differ
between them is said there, and in docs/proxies/differences.md.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from proxy_life import Life
from proxy_paths import Paths
from proxy_stage import Kind, Stage, stage
from proxy_streams import Streams, keep_silence
from proxy_traffic import Traffic


@pytest.mark.asyncio(loop_scope="class")
class ProxySuite(Life, Streams, Traffic, Paths):
    """Run from the last base to the first: Life kills, one after the other, everything that there is."""

    @pytest_asyncio.fixture(scope="class", loop_scope="class")
    @classmethod
    async def stage(cls, kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
        async with stage(kind, tmp_path_factory.mktemp("proxies")) as made:
            await made.settle_in()
            yield made

    @pytest_asyncio.fixture(scope="class", loop_scope="class", autouse=True)
    @classmethod
    async def silence(cls, stage: Stage) -> AsyncIterator[asyncio.Task[None]]:
        """It takes long, so that it goes on while the other tests run."""
        task = asyncio.create_task(keep_silence(stage))
        yield task
        task.cancel()
