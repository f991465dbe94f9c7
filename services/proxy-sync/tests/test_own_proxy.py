"""What docs/proxies/others.md tells people to write, as they would have it: read from the page."""

import asyncio
import textwrap
from pathlib import Path

from hubbub.bus import connect
from hubbub.config import load
from hubbub.settings import Settings
from hubbub.testing.nats import NatsServer
from hubbub_proxy_sync.proxies import make
from hubbub_proxy_sync.sync import Sync
from hubbub_proxy_sync.testing import FakeHouse, server

PAGE = Path(__file__).parents[3] / "docs/proxies/others.md"


def code() -> str:
    """The lines of the page that are indented, from the one that names the file on."""
    lines = PAGE.read_text().splitlines()
    first = lines.index("    # jupyterhub_config.py")
    last = next(number for number, line in enumerate(lines) if number > first and line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[first:last]))


async def test_the_proxy_of_the_page_is_kept_equal_to_what_is_wanted(
    nats: NatsServer, house: FakeHouse, tmp_path: Path
):
    table = tmp_path / "routes.json"
    config = tmp_path / "jupyterhub_config.py"
    config.write_text(code().replace("/srv/routes.json", str(table)))
    settings = Settings(instance="p", data=str(tmp_path), proxy_auth_token="token")
    options = load(str(config), settings)
    assert options.warnings == []
    proxy = make(options, settings)
    await proxy.start()
    house.wanted["ada"] = server("ada")
    async with connect(nats.url("proxy-sync"), "p") as bus:
        sync = Sync(bus, proxy, "p")
        await sync.listen()
        running = asyncio.create_task(sync.run())
        await house.until(lambda: bool(house.joined))
        assert {spec: route["target"] for spec, route in (await proxy.get_all_routes()).items()} == {
            route.spec if route.spec.endswith("/") else f"{route.spec}/": route.target
            for route in house.wanted.values()
        }
        table.unlink()
        async with asyncio.timeout(10):
            while "/user/ada/" not in await proxy.get_all_routes():
                await asyncio.sleep(0.02)
        running.cancel()
        await asyncio.wait({running})
