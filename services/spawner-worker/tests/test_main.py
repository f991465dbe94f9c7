"""The worker as a process: what it refuses to run with, and how it leaves."""

import asyncio
import contextlib
import os
import signal
import sys

import pytest

from hubbub.domain.server_states import Running, Stopped


@pytest.fixture
async def run(nats, api, tmp_path):
    """run(config, **environment) -> the process; its stderr is a pipe."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(config="", **changes):
            (tmp_path / "config.py").write_text(config)
            environment = {
                **os.environ,
                "HUBBUB_INSTANCE": "w1",
                "HUBBUB_CONFIG": str(tmp_path / "config.py"),
                "HUBBUB_DATA": str(tmp_path),
                "HUBBUB_NATS_URL": nats.url(f"pool-{api.pool}"),
                "HUBBUB_BUS_KEY": api.key,
                "HUBBUB_POOL": api.pool,
                **changes,
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hubbub_spawner_worker", env=environment, stderr=asyncio.subprocess.PIPE
            )
            stack.push_async_callback(end, process)
            return process

        yield begin


async def end(process):
    if process.returncode is None:
        process.kill()
        await process.communicate()


async def refusal(process):
    async with asyncio.timeout(20):
        _, said = await process.communicate()
    assert process.returncode == 78
    return said.decode().splitlines()[-1]


async def until_ready(process):
    async with asyncio.timeout(20):
        while line := await process.stderr.readline():
            if b"spawner-worker.ready" in line:
                return
    pytest.fail("it never got ready")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("c.JupyterHub.spawner_class = 'nosuch'", "'nosuch'"),
        ("c.JupyterHub.spawner_class = 'no.such.Class'", "No module named 'no'"),
        ("c.JupyterHub.spawner_class = 'collections.OrderedDict'", "not derived from"),
        ("c.JupyterHub.spawner_class = dict", "builtins.dict"),
        ("c.JupyterHub.spawner_class = ", "line 1"),
        ("c.Spawner.mem_limit = 'lots'", "c.Spawner.mem_limit: 'lots' is no size"),
    ],
)
async def test_a_configuration_that_cannot_be_used_is_named(run, config, says):
    assert says in await refusal(await run(config))


async def test_a_missing_variable_is_named(run):
    assert await refusal(await run(HUBBUB_BUS_KEY="")) == "HUBBUB_BUS_KEY is not set"


async def test_a_bus_key_that_is_none_is_named(run):
    assert "HUBBUB_BUS_KEY" in await refusal(await run(HUBBUB_BUS_KEY="short"))


async def test_a_configuration_that_differs_from_the_apis_ends_the_worker(run, api):
    api.hello_refusal = "c.Spawner.cmd: not as the api has it"
    assert "c.Spawner.cmd" in await refusal(await run())


@pytest.fixture
def config(tmp_path, standin):
    return f"""
c.JupyterHub.spawner_class = "simple"
c.Spawner.cmd = {standin!r}
c.SimpleLocalProcessSpawner.home_dir_template = {str(tmp_path / "home" / "{username}")!r}
"""


async def test_sigterm_ends_the_worker_but_no_server(run, api, config, record_of, is_alive, end_all):
    process = await run(config)
    await until_ready(process)
    await api.start("s1")
    await api.until_is("s1", Running)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 0
    assert is_alive(record_of("s1")["pid"])


async def killed_at(point, run, config, tmp_path):
    """A worker that kills itself when it comes to that point."""
    (tmp_path / "plan").write_text(f"{point}:1:kill")
    process = await run(config, HUBBUB_FAULT=str(tmp_path))
    await until_ready(process)
    return process


async def end_of(process):
    async with asyncio.timeout(20):
        await process.communicate()
    assert process.returncode == -signal.SIGKILL


async def test_a_worker_killed_before_its_servers_gate_opens_leaves_nothing(
    run, api, config, tmp_path, record_of, gone, end_all
):
    process = await killed_at("worker.spooled", run, config, tmp_path)
    await api.start("s1")
    await end_of(process)
    assert await asyncio.to_thread(gone, record_of("s1")["pid"])
    await until_ready(await run(config))
    assert api.hellos[-1][1].found == ()
    # It counted as lost, and was asked for again.
    assert (await api.until_is("s1", Running)).attempt == 2


@pytest.mark.parametrize("point", ["worker.claimed", "worker.started", "worker.responded"])
async def test_a_start_survives_its_worker(run, api, config, tmp_path, record_of, is_alive, end_all, point):
    process = await killed_at(point, run, config, tmp_path)
    await api.start("s1")
    await end_of(process)
    before = record_of("s1")
    await until_ready(await run(config))
    state = await api.until_is("s1", Running)
    assert state.attempt == (1 if before else 2)
    record = record_of("s1")
    assert is_alive(record["pid"])
    assert before is None or before["pid"] == record["pid"]


@pytest.mark.parametrize("point", ["worker.before_stop", "worker.stopped"])
async def test_a_stop_survives_its_worker(run, api, config, tmp_path, record_of, gone, end_all, point):
    process = await killed_at(point, run, config, tmp_path)
    await api.start("s1")
    await api.until_is("s1", Running)
    pid = record_of("s1")["pid"]
    await api.stop("s1")
    await end_of(process)
    await until_ready(await run(config))
    await api.until_is("s1", Stopped)
    assert await asyncio.to_thread(gone, pid)
    assert record_of("s1") is None
