"""What a run will use is settled from the configuration, the command line and what was kept."""

import json
import socket
from pathlib import Path

import pytest

from hubbub.free_port import free_port
from hubbub.settings import Settings
from hubbub_local import folder, plan, services
from hubbub_local.addresses import Address, with_login
from hubbub_local.errors import StackError
from hubbub_local.folder import Folder
from hubbub_local.options import Options, parse_port, parse_scale
from hubbub_local.plan import Plan
from hubbub_local.program import Program


def made(data: Folder, config: str | None = None, port: int | None = 0) -> Plan:
    """The plan of a run with this text as configuration, on any free ports unless said otherwise."""
    file = None
    if config is not None:
        file = data.root / "jupyterhub_config.py"
        file.write_text(config)
    return plan.make(Options(data=data.root, config=file, port=port), data)


def test_without_a_configuration_the_hub_is_for_this_machine_alone(data: Folder) -> None:
    settled = made(data)
    assert settled.public.url == f"http://127.0.0.1:{settled.ports['public']}/"
    assert settled.hub.url == f"http://127.0.0.1:{settled.ports['hub']}/hub/"
    assert settled.config.hub.allow_named_servers
    assert settled.config.admin_users == {"admin"}
    assert settled.config.warnings == []


def test_the_packaged_configuration_has_the_password_that_is_printed(data: Folder) -> None:
    settled = made(data)
    assert settled.config.traits["SharedPasswordAuthenticator"]["user_password"] == settled.keys.login_password


def test_homes_are_in_the_data_folder_whatever_its_name(tmp_path: Path) -> None:
    with folder.take(tmp_path / "{odd} name") as data:
        template = made(data).config.traits["SimpleLocalProcessSpawner"]["home_dir_template"]
    assert template.format(username="ada") == str(tmp_path / "{odd} name" / "home" / "ada")


def test_the_same_ports_and_secrets_at_every_start(data: Folder) -> None:
    first, second = made(data), made(data)
    assert (first.ports, first.keys, first.owner_dsn) == (second.ports, second.keys, second.owner_dsn)


def test_a_configured_address_is_used_as_it_is(data: Folder) -> None:
    port = free_port()
    settled = made(data, f"c.JupyterHub.bind_url = 'http://127.0.0.1:{port}/base/'", port=None)
    assert settled.public.url == f"http://127.0.0.1:{port}/base/"
    assert settled.hub.url.endswith("/base/hub/")


def test_a_port_on_the_command_line_goes_before_the_configuration(data: Folder) -> None:
    port = free_port()
    settled = made(data, "c.JupyterHub.bind_url = 'http://127.0.0.1:1/base/'", port=port)
    assert settled.public.url == f"http://127.0.0.1:{port}/base/"


def test_a_configured_port_that_is_taken_is_named(data: Folder) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StackError, match=f"port {taken.getsockname()[1]} for the hub is taken by"),
    ):
        made(data, f"c.JupyterHub.hub_port = {taken.getsockname()[1]}")


def test_a_proxy_that_runs_elsewhere_is_left_where_it_is(data: Folder) -> None:
    config = "c.ConfigurableHTTPProxy.should_start = False\nc.ConfigurableHTTPProxy.api_url = 'http://192.0.2.1:8001'"
    settled = made(data, config, port=None)
    assert set(settled.ports) == {"hub", "postgres", "nats"}
    assert [told["PROXY_API_URL"] for told in settled.wiring().proxies] == ["http://192.0.2.1:8001"]


def test_a_broken_configuration_is_an_error_that_names_the_line(data: Folder) -> None:
    with pytest.raises(StackError, match=r"jupyterhub_config\.py, line 2: "):
        made(data, "x = 1\nc.JupyterHub.port = = 2")
    assert not data.ports.exists()


def test_outside_servers_take_the_place_of_the_embedded_ones(data: Folder) -> None:
    options = Options(data=data.root, port=0, postgres="postgresql://me:mine@db/hub", nats="nats://u:p@bus:4222")
    settled = plan.make(options, data)
    assert (settled.postgres, settled.nats) == (None, None)
    assert settled.owner_dsn == "postgresql://me:mine@db/hub"
    assert settled.role_dsn("hubbub_api").endswith("@db/hub")
    wiring = settled.wiring()
    assert {*wiring.nats_urls.values(), *wiring.pools.values()} == {"nats://u:p@bus:4222"}


def read(program: Program) -> Settings:
    """What the service itself makes of it."""
    return Settings.from_environ(program.environment)


def secret_files(program: Program) -> list[Path]:
    return [
        Path(value)
        for name, value in (program.environment or {}).items()
        if name.startswith("HUBBUB_") and name.endswith("_FILE")
    ]


def programs(data: Folder, **scale: int) -> dict[str, Program]:
    settled = plan.make(Options(data=data.root, port=0, scale=scale), data)
    settled.write_secrets()
    return {program.name: program for program in services.programs(settled.options, settled.wiring())}


def test_every_service_runs_as_often_as_was_asked(data: Folder) -> None:
    assert list(programs(data, api=2)) == ["api-1", "api-2", "auth-1", "spawner-worker-1", "proxy-sync-1", "poller-1"]


def test_a_service_is_told_nothing_it_does_not_need(data: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_VAULT_KEY", "of somebody else")
    monkeypatch.setenv("HUBBUB_LEASE_SECONDS", "0.5")
    told = {
        name: {key for key in program.environment or {} if key.startswith(("HUBBUB_", "CONFIGPROXY"))}
        for name, program in programs(data).items()
    }
    everyone = {"HUBBUB_INSTANCE", "HUBBUB_LOG_FORMAT", "HUBBUB_LEASE_SECONDS"}
    assert told["poller-1"] == everyone | {"HUBBUB_NATS_URL_FILE"}
    assert "HUBBUB_POSTGRES_URL_FILE" not in told["spawner-worker-1"] | told["proxy-sync-1"]
    assert "HUBBUB_VAULT_KEY_FILE" not in told["spawner-worker-1"] | told["proxy-sync-1"]
    assert "HUBBUB_VAULT_KEY" not in told["api-1"]
    assert {name for name in told if "CONFIGPROXY_AUTH_TOKEN" in told[name]} == {"proxy-sync-1"}
    assert "HUBBUB_NATS_URL_FILE" not in told["auth-1"]


def test_the_proxys_command_is_the_operators_if_there_is_one(data: Folder) -> None:
    settled = made(data, "c.ConfigurableHTTPProxy.command = ['chp']")
    assert "CHP_COMMAND" not in settled.wiring().shared
    node, script = json.loads(services.proxy_command())
    assert Path(node).exists()
    assert Path(script).exists()


def test_each_service_has_its_own_login(data: Folder) -> None:
    found = {name: read(program) for name, program in programs(data).items()}
    assert found["auth-1"].postgres_url.startswith("postgresql://hubbub_auth:")
    assert found["spawner-worker-1"].nats_url.startswith("nats://pool-default:")


def test_what_is_secret_is_in_files_of_their_owner_alone(data: Folder) -> None:
    every = {file: file.stat().st_mode & 0o777 for program in programs(data).values() for file in secret_files(program)}
    assert len(every) > 8
    assert set(every.values()) == {0o600}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("api", "not like api=2"),
        ("api=0", "from 1 to 64"),
        ("api=two", "not like api=2"),
        ("hub=2", "there is no service 'hub'; there are api, auth"),
        ("proxy-sync=0", "from 1 to 64"),
        ("api@gpu=2", "only spawner-worker has pools"),
        ("spawner-worker@gpu", "not like api=2"),
        ("spawner-worker=0", "from 1 to 64"),
    ],
)
def test_a_scale_that_makes_no_sense_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_scale(text)


def test_a_scale_is_read() -> None:
    assert parse_scale("api=2, spawner-worker=3") == {"api": 2, "spawner-worker": 3}
    assert parse_scale("spawner-worker@gpu=2,spawner-worker@far=0") == {
        "spawner-worker@gpu": 2,
        "spawner-worker@far": 0,
    }


def scaled(data: Folder, proxies: int, config: str = "", port: int | None = 0) -> Plan:
    file = data.root / "jupyterhub_config.py"
    file.write_text(config)
    return plan.make(Options(data=data.root, config=file, port=port, scale={"proxy-sync": proxies}), data)


def test_each_proxy_has_addresses_of_its_own_and_keeps_them(data: Folder) -> None:
    settled = scaled(data, 3, "c.JupyterHub.bind_url = 'http://127.0.0.2/base/'")
    found = {
        program.name: program.environment or {}
        for program in services.programs(settled.options, settled.wiring())
        if program.name.startswith("proxy-sync")
    }
    assert list(found) == ["proxy-sync-1", "proxy-sync-2", "proxy-sync-3"]
    publics = [environment["HUBBUB_BIND_URL"] for environment in found.values()]
    apis = [environment["HUBBUB_PROXY_API_URL"] for environment in found.values()]
    assert publics == [address.url for address in settled.publics]
    assert len({Address(url).port for url in publics + apis}) == 6
    assert {Address(url).at(1).url for url in publics} == {"http://127.0.0.2:1/base/"}
    assert settled.public.url == publics[0]
    assert settled.public_ports == ["public", "public-2", "public-3"]

    fewer = scaled(data, 1, "c.JupyterHub.bind_url = 'http://127.0.0.2/base/'")
    assert (fewer.public_ports, fewer.forsaken_ports) == (["public"], ["public-2", "public-3"])
    again = scaled(data, 3, "c.JupyterHub.bind_url = 'http://127.0.0.2/base/'")
    assert (again.ports, again.forsaken_ports) == (settled.ports, [])


def test_a_configured_port_is_that_of_the_first_proxy(data: Folder) -> None:
    port = free_port()
    first, second = scaled(data, 2, f"c.JupyterHub.bind_url = 'http://127.0.0.1:{port}'", port=None).publics
    assert first.port == port
    assert second.port not in (port, None)


def test_a_proxy_without_an_api_of_that_kind_has_no_port_for_it(data: Folder) -> None:
    settled = scaled(data, 2, "c.JupyterHub.proxy_class = 'haproxy'")
    assert set(settled.ports) == {"public", "public-2", "hub", "postgres", "nats"}
    assert "CHP_COMMAND" not in settled.wiring().shared
    assert all("PROXY_API_URL" not in told for told in settled.wiring().proxies)


def test_a_proxy_of_others_has_one_proxy_sync(data: Folder) -> None:
    with pytest.raises(StackError, match="should_start is False"):
        scaled(data, 2, "c.Proxy.should_start = False")


def test_a_proxy_that_was_moved_is_not_waited_for_where_it_was(data: Folder) -> None:
    settled = scaled(data, 2)
    assert [settled.moved_to(number) for number in (1, 2)] == [None, None]
    home = settled.wiring().proxies[0]["PROXY_API_URL"].rstrip("/")
    for number, url in enumerate((home, "http://192.0.2.1:8001"), start=1):
        (data.run / f"moved-proxy-sync-{number}.json").write_text(json.dumps({"api_url": url}))
    assert [settled.moved_to(number) for number in (1, 2)] == [None, "http://192.0.2.1:8001"]


def test_a_certificate_that_is_not_there_is_named_before_anything_starts(data: Folder) -> None:
    with pytest.raises(StackError, match=r"^c\.JupyterHub\.ssl_key: cannot read /no/such\.pem"):
        scaled(data, 1, "c.JupyterHub.ssl_key = c.JupyterHub.ssl_cert = '/no/such.pem'")
    assert not data.ports.exists()


POOLS = "c.Hubbub.pools = {'gpu': {}, 'lab': {}, 'far': {}}"


def test_every_pool_has_its_workers(data: Folder) -> None:
    file = data.root / "jupyterhub_config.py"
    file.write_text(POOLS)
    scale = parse_scale("spawner-worker=2,spawner-worker@gpu=2,spawner-worker@far=0")
    settled = plan.make(Options(data=data.root, config=file, port=0, scale=scale), data)
    settled.write_secrets()
    found = {
        program.name: read(program)
        for program in services.programs(settled.options, settled.wiring())
        if "worker" in program.name
    }
    assert {name: settings.pool for name, settings in found.items()} == {
        "spawner-worker-1": "default",
        "spawner-worker-2": "default",
        "spawner-worker-gpu-1": "gpu",
        "spawner-worker-gpu-2": "gpu",
        "spawner-worker-lab-1": "lab",
    }
    assert all(each.nats_url.startswith(f"nats://pool-{each.pool}:") for each in found.values())
    assert {"pool-default", "pool-gpu", "pool-lab", "pool-far"} <= settled.bus_permissions.keys()


def test_a_pool_that_there_is_not_is_named(data: Folder) -> None:
    with pytest.raises(StackError, match="there is no pool 'gpu'; there are default"):
        plan.make(Options(data=data.root, port=0, scale={"spawner-worker@gpu": 1}), data)


@pytest.mark.parametrize("text", ["-1", "65536", "http"])
def test_a_port_that_is_none_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="not a port number"):
        parse_port(text)


@pytest.mark.parametrize(
    ("listens", "typed"),
    [
        ("http://:8000/", "http://127.0.0.1:8000/"),
        ("http://0.0.0.0:8000/base", "http://127.0.0.1:8000/base/"),
        ("http://[::]:8000/", "http://127.0.0.1:8000/"),
        ("https://hub.example.org/", "https://hub.example.org/"),
        ("http://[fe80::1]:8000/", "http://[fe80::1]:8000/"),
    ],
)
def test_an_address_to_listen_at_becomes_one_to_type(listens: str, typed: str) -> None:
    assert Address(listens).for_people() == typed


def test_another_login_for_the_same_database() -> None:
    url = "postgresql://me:p%40@db.example.org:5433/hub?sslmode=require&password=x"
    assert with_login(url, "you", "a/b") == "postgresql://you:a%2Fb@db.example.org:5433/hub?sslmode=require"
