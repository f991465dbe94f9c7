"""`hubbub up`: the whole stack, from an empty folder to the address to open, and back down in order."""

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import replace

import asyncpg

from hubbub import schema
from hubbub_local import control, folder, plan, ports, process, record, running, services
from hubbub_local.errors import ShutDown, StackError
from hubbub_local.listening import listening as sockets
from hubbub_local.options import SERVICES, Options
from hubbub_local.plan import Plan
from hubbub_local.restart import restarting
from hubbub_local.screen import Screen
from hubbub_local.stop import Stop, first, listening
from hubbub_local.supervisor import Supervisor

_SERVERS_TIMEOUT = 90.0
"""Seconds all users' servers together have to end: a server may take 30 s for each of two signals."""


async def up(options: Options, screen: Screen) -> None:
    """Run the stack until a signal ends it. Raises StackError when it cannot be started or kept running."""
    with folder.take(options.data) as data, listening() as stop:
        await asyncio.to_thread(record.end_left_over, data.run)
        made = plan.make(options, data)
        # Nobody would keep their routes any more, which lead to ports that others may have next.
        await asyncio.to_thread(_end_proxies, made, made.forsaken_ports)
        for warning in made.config.warnings:
            screen.say(f"warning: {warning}")
        with sockets(made.hub) as opened:
            await _run(made, opened, screen, stop)


async def _run(made: Plan, opened: list[socket.socket], screen: Screen, stop: Stop) -> None:
    data = made.folder
    async with Supervisor(data, screen.show, stop.hurry) as house, control.listening(data, restarting(house)):
        try:
            await first(_serve(made, opened, house, screen), house.trouble(), stop.asked.wait())
            await _stop_servers(made, house, screen, stop)
        except ShutDown:  # the api has stopped the servers, if they were to be stopped
            screen.say("shut down, as was asked of the api")
        finally:
            data.stack.unlink(missing_ok=True)
            await _stop_services(made, house)


async def _serve(made: Plan, opened: list[socket.socket], house: Supervisor, screen: Screen) -> None:
    wiring = replace(made.wiring(), sockets=opened)
    made.write_secrets()
    await start_postgres(made, house)
    await migrate(made)
    await _start_nats(made, house)
    for program in services.programs(made.options, wiring):
        house.start(program)
    made.running().save(made.folder)
    await house.all_up()
    for number, public in enumerate(made.publics, start=1):
        while made.moved_to(number) is None and not await services.answers(public.for_people() + "hub/health"):
            await asyncio.sleep(0.1)
    _welcome(made, screen)
    await asyncio.Event().wait()


async def start_postgres(made: Plan, house: Supervisor) -> None:
    if server := made.postgres:
        program = await asyncio.to_thread(server.prepare)
        await house.start(program).first_up()
        await server.make_database()


async def migrate(made: Plan) -> None:
    try:
        await schema.migrate(made.owner_dsn, made.role_passwords)
    except schema.SchemaTooNew as error:
        raise StackError(str(error)) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise StackError(f"cannot prepare the database: {type(error).__name__}: {error}") from None


async def _start_nats(made: Plan, house: Supervisor) -> None:
    if server := made.nats:
        await house.start(server.prepare(made.bus_permissions)).first_up()
        return

    import nats  # with all that it brings it takes longer to load than Postgres to start

    async def is_heard(_: Exception) -> None:
        """Instead of the client's own log of every try."""

    try:
        url = made.nats_url("api")
        async with asyncio.timeout(5):
            connection = await nats.connect(url, error_cb=is_heard, allow_reconnect=False, max_reconnect_attempts=1)
        await connection.close()
    except (nats.errors.Error, OSError, ValueError, TimeoutError) as error:
        raise StackError(
            f"cannot reach the NATS server given by --nats: {str(error) or type(error).__name__}"
        ) from None


def _welcome(made: Plan, screen: Screen) -> None:
    screen.say(f"Hubbub is ready at {made.public.for_people()}")
    for public in made.publics[1:]:
        screen.say(f"and at {public.for_people()}")
    if address := made.config.hub.public_url:
        screen.say(f"people come in at {address}")
    for number, public in enumerate(made.publics, start=1):
        if moved := made.moved_to(number):
            screen.say(f"instead of {public.for_people()} people come in at the proxy whose API is {moved}")
    if made.options.config is None:
        password = made.keys.login_password
        screen.say(f"log in as any name with the password {password} (admin is an administrator)")
    screen.say(f"logs are in {made.folder.logs}; Ctrl-C stops everything")


async def _stop_servers(made: Plan, house: Supervisor, screen: Screen, stop: Stop) -> None:
    """The users' servers, while there are workers to stop them; a person in a hurry leaves them running."""
    if made.config.cleanup_servers and house.copies("spawner-worker"):
        screen.say("stopping the users' servers (Ctrl-C once more leaves them running)")
        await first(_stop_every_server(made, screen), stop.hurry.wait())


async def _stop_every_server(made: Plan, screen: Screen) -> None:
    known = running.of(made.folder.root)  # its secrets may have changed since the start
    try:
        from hubbub import admin

        await admin.stop_all_servers(known.api_dsn, known.vault_key, _SERVERS_TIMEOUT)
    except Exception as error:  # whatever it is, the rest has to be stopped all the same
        screen.say(f"could not stop every server: {str(error) or type(error).__name__}")


async def _stop_services(made: Plan, house: Supervisor) -> None:
    """In the order in which nobody misses the one who went before; the bus and the database go last, by themselves."""
    for service in reversed(SERVICES):
        await house.stop(*house.copies(service))
        if service == "proxy-sync" and made.config.cleanup_proxy:
            # A proxy outlives its proxy-sync, so that no user notices a restart; here it is to end as well.
            await asyncio.to_thread(_end_proxies, made, made.public_ports)


def _end_proxies(made: Plan, names: Iterable[str]) -> None:
    """Those of ours that listen on the ports of these names."""
    kept = ports.kept(made.folder)
    holders = [pid for name in names if name in kept for pid in ports.holders(kept[name])]
    process.end([found for pid in holders if made.is_our_proxy(pid) and (found := process.find(pid))])
