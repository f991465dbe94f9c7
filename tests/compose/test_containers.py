"""The hub in containers as `deploy/compose.yaml` makes it, with several of each service."""

import asyncio
import os
import signal

import aiohttp
import pytest
from compose_hub import SERVICES, ComposeHub, name_in_the_house

from checks import five_checks
from stack import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(1800)]

#: A program that prints which of its arguments it can reach. Names that nobody knows take long, so all at once.
REACHED = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def tried(place):
    try:
        socket.create_connection(place.split(":"), 5)
    except OSError:
        return ""
    return place
with ThreadPoolExecutor() as pool:
    print(*pool.map(tried, sys.argv[1:]))
"""


async def test_whoever_knows_the_password_logs_in_and_starts_a_server(house: ComposeHub) -> None:
    password = (house.data / "secrets/login-password").read_text().strip()
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        async with browser.get(f"{house.url}hub/login") as form:
            assert form.status == 200
        xsrf = next(cookie.value for cookie in jar if cookie.key == "_xsrf")
        fields = {"username": "grace", "password": password, "_xsrf": xsrf}
        async with browser.post(f"{house.url}hub/login", data=fields, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
        await house.api("POST", "/users/grace/server")
        await house.ready("grace")
        answer = await house.standin("grace")
        assert answer is not None and answer["env"]["JUPYTERHUB_API_URL"] == "http://api:8081/hub/api"


async def test_there_are_as_many_as_was_said_each_with_a_name_of_its_own(house: ComposeHub) -> None:
    for service, copies in {"api": 2, "auth": 2, "spawner-worker": 4, "proxy-sync": 2, "poller": 2}.items():
        logs = [container.logs().decode() for container in house.containers(service)]
        names = {f'"instance": "{service}-{number}"' for number in range(1, copies + 1)}
        assert len(logs) == copies
        assert all(sum(name in log for log in logs) == 1 for name in names), names


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_may_do_as_little_as_can_be(house: ComposeHub, service: str) -> None:
    for container in house.containers(service):
        host = container.attrs["HostConfig"]
        assert (host["ReadonlyRootfs"], host["Privileged"], host["CapDrop"]) == (True, False, ["ALL"])
        status, output = container.exec_run(["sh", "-c", "id -u && touch /opt/hubbub/mine"], demux=True)
        assert (status, output[0]) == (1, b"10001\n"), output
        assert b"Read-only file system" in output[1]


async def test_no_secret_is_in_what_the_engine_tells_of_a_container(house: ComposeHub) -> None:
    kit = [path for path in (house.data / "secrets").iterdir() if path.suffix not in (".crt", ".json", ".conf")]
    secrets = [path.read_text().strip() for path in kit]
    assert len(secrets) > 12
    for service in (*SERVICES, "proxy", "nats", "postgres"):
        for container in house.containers(service):
            told = str(container.attrs)
            assert not [secret for secret in secrets if secret in told], service


async def test_each_service_is_well_by_its_own_check(house: ComposeHub) -> None:
    async def well() -> bool:
        every = [
            container for service in (*SERVICES, "proxy", "nats", "postgres") for container in house.containers(service)
        ]
        for container in every:
            container.reload()
        return all(container.attrs["State"]["Health"]["Status"] == "healthy" for container in every)

    await eventually(well, 60, "every container healthy")


async def test_a_service_whose_loop_hangs_is_not_well(house: ComposeHub) -> None:
    poller = house.containers("poller")[0]
    service = house.pid(name_in_the_house(poller))
    check = ["python", "-m", "hubbub.health"]
    assert poller.exec_run(check)[0] == 0
    os.kill(service, signal.SIGSTOP)
    try:

        async def sick() -> bool:
            return b"it has done nothing for" in await asyncio.to_thread(lambda: poller.exec_run(check)[1])

        await eventually(sick, 40, "the check notices")
    finally:
        os.kill(service, signal.SIGCONT)


async def test_a_users_server_does_not_get_at_what_is_inside(house: ComposeHub) -> None:
    await house.user("mallory")
    await house.api("POST", "/users/mallory/server")
    await house.ready("mallory")
    [server] = [one for one in house.workloads() if one.environ()["JUPYTERHUB_SERVICE_PREFIX"] == "/user/mallory/"]
    targets = "api:8081 proxy:8000 proxy:8001 proxy-api:8001 postgres:5432 nats:4222"
    status, output = server.container.exec_run(["python3", "-c", REACHED, *targets.split()])
    assert (status, output.decode().split()) == (0, ["api:8081", "proxy:8000"])


async def test_the_proxys_api_wants_its_token(house: ComposeHub) -> None:
    [(address, token)] = house.proxy_apis()
    for headers, status in (({}, 403), ({"Authorization": f"token {token}"}, 200)):
        async with house.session.get(f"{address}/api/routes", headers=headers) as answer:
            assert answer.status == status


async def test_the_command_line_works_beside_it(house: ComposeHub) -> None:
    output = await house.compose("run", "--rm", "hubbub", "token", "admin")
    token = output.strip().splitlines()[-1]
    status, model = await house.api("GET", "/user", token=token)
    assert (status, model["name"]) == (200, "admin")


async def test_a_new_container_has_the_name_of_the_one_before(house: ComposeHub) -> None:
    """As after an upgrade: what a worker holds is still its own."""
    await house.user("lin")
    await house.api("POST", "/users/lin/server")
    await house.ready("lin")
    await house.compose(
        "up", "-d", "--no-build", "--force-recreate", "--no-deps", *_scale("spawner-worker"), "spawner-worker"
    )
    await eventually(lambda: house.is_ready("lin"), 30, "lin's server still ready")
    assert await house.standin("lin")
    await five_checks(house)


def _scale(service: str) -> tuple[str, str]:
    return ("--scale", f"{service}=4")
