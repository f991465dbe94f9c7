"""What hooks see and do; state, certificates, refusals: all that needs no server."""

import asyncio
import inspect

import pytest

from hubbub_spawner_worker.spawners import Group, Hub, Server, Spawner, SpawnException, User
from hubbub_spawner_worker.spawners.options import settled
from hubbub_spawner_worker.spawners.testing import Bare, made

STAFF = Group(name="staff", properties={"room": 5})


# Hooks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", ["pre_spawn_hook", "post_stop_hook"])
async def test_hooks_get_the_spawner(name, later):
    seen = []

    def hook(spawner):
        seen.append(spawner)

    async def hook_later(spawner):
        seen.append(spawner)

    spawner = made(**{name: hook_later if later else hook})
    result = getattr(spawner, f"run_{name}")()
    if inspect.isawaitable(result):
        await result
    assert seen == [spawner]


@pytest.mark.parametrize("name", ["pre_spawn_hook", "post_stop_hook", "auth_state_hook", "progress_ready_hook"])
async def test_no_hook_is_nothing_to_do(name):
    spawner = made()
    arguments = {"auth_state_hook": ({},), "progress_ready_hook": ({"ready": True},)}.get(name, ())
    result = getattr(spawner, f"run_{name}")(*arguments)
    result = await result if inspect.isawaitable(result) else result
    assert result == ({"ready": True} if name == "progress_ready_hook" else None)


@pytest.mark.parametrize("later", [False, True])
async def test_a_hook_before_the_start_can_forbid_it(later):
    def refuse(spawner):
        raise SpawnException("No.", reason="policy")

    async def refuse_later(spawner):
        refuse(spawner)

    spawner = made(pre_spawn_hook=refuse_later if later else refuse)

    async def run():
        await settled(spawner.run_pre_spawn_hook())

    with pytest.raises(SpawnException):
        await run()


@pytest.mark.parametrize("later", [False, True])
async def test_a_hook_after_the_stop_can_only_complain(later, caplog):
    def fail(spawner):
        raise RuntimeError("no")

    async def fail_later(spawner):
        fail(spawner)

    result = made(post_stop_hook=fail_later if later else fail).run_post_stop_hook()
    if later:
        await result
    assert ["post_stop_hook failed for ada:lab"] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("later", [False, True])
async def test_the_auth_state_is_handed_to_its_hook(later):
    def hook(spawner, auth_state):
        spawner.environment["TOKEN"] = auth_state["token"]

    async def hook_later(spawner, auth_state):
        hook(spawner, auth_state)

    spawner = made(auth_state_hook=hook_later if later else hook)
    await spawner.run_auth_state_hook(await spawner.user.get_auth_state())
    assert spawner.get_env()["TOKEN"] == "t"


async def test_the_last_event_of_the_progress_can_be_changed(caplog):
    async def hook(spawner, event):
        return {**event, "html_message": f"<b>{spawner.name}</b>"}

    def fail(spawner, event):
        event["html_message"] = "half done"
        raise RuntimeError("no")

    event = {"ready": True}
    assert await made(progress_ready_hook=hook).run_progress_ready_hook(event) == {
        "ready": True,
        "html_message": "<b>lab</b>",
    }
    assert await made(progress_ready_hook=fail).run_progress_ready_hook(event) == {"ready": True}
    assert "progress_ready_hook failed for ada:lab" in caplog.text


# What they see ----------------------------------------------------------------------------


async def test_hooks_see_whose_server_it_is():
    user = made(groups=(STAFF,)).user
    assert (user.name, user.id, user.admin, user.escaped_name, user.host) == ("ada", 7, False, "ada", "")
    assert (user.url, user.base_url) == ("/base/user/ada/", "/base/user/ada/")
    assert [user.server_url(), user.server_url("lab")] == ["/base/user/ada/", "/base/user/ada/lab/"]
    assert [(group.name, group.properties) for group in user.groups] == [("staff", {"room": 5})]
    await user.save_auth_state({"token": "new"})
    assert await user.get_auth_state() == {"token": "new"}


async def test_without_a_keeper_there_is_no_auth_state():
    user = User(name="ada", id=7, url="/user/ada/", escaped_name="ada")
    await user.save_auth_state({"token": "new"})
    assert await user.get_auth_state() is None


def test_hooks_see_the_hub():
    hub = made().hub
    assert (hub.url, hub.ip, hub.port) == ("http://10.0.0.1:8081/base/hub/", "10.0.0.1", 8081)
    assert Hub(api_url="https://h/hub/api", base_url="/hub/").port == 443


def test_hooks_see_what_is_kept():
    class Stateful(Bare):
        def get_state(self):
            return {**super().get_state(), "id": 3}

    spawner = made(Stateful)
    spawner.user_options = {"a": 1}
    stored = spawner.orm_spawner
    assert (stored.name, stored.state, stored.user_options) == ("lab", {"id": 3}, {"a": 1})
    assert stored.server is spawner.server
    with pytest.raises(AttributeError):
        stored.state = {}


async def test_a_server_is_where_its_spawner_says():
    spawner = made()
    assert spawner.server.base_url == "/base/user/ada/lab/"
    spawner.server.ip, spawner.server.port = "10.0.0.2", 99
    assert await spawner.get_url() == "http://10.0.0.2:99/base/user/ada/lab/"
    spawner.server.move("https://host")
    assert spawner.server.url == "https://host:443/base/user/ada/lab/"


@pytest.mark.parametrize(
    ("ip", "host"), [("", "http://127.0.0.1:8"), ("0.0.0.0", "http://127.0.0.1:8"), ("fe80::1", "http://[fe80::1]:8")]
)
def test_an_address_can_be_connected_to(ip, host):
    assert Server(base_url="/", ip=ip, port=8).host == host


def test_a_server_is_named_in_logs_by_its_owner():
    spawner = made()
    assert spawner._log_name == spawner.log_name == "ada:lab"
    spawner.name = ""
    assert spawner.log_name == "ada"


# State, and the rest of the life ------------------------------------------------------------


async def test_what_a_subclass_keeps_goes_there_and_back():
    class Stateful(Bare):
        container = ""

        def get_state(self):
            return {**super().get_state(), "container": self.container}

        def load_state(self, state):
            super().load_state(state)
            self.container = state.get("container", "")

        def clear_state(self):
            super().clear_state()
            self.container = ""

    one, other = made(Stateful), made(Stateful)
    one.container = "c1"
    other.load_state(one.get_state())
    assert other.container == "c1"
    other.api_token = "t"
    other.clear_state()
    assert (other.container, other.api_token) == ("", "")


async def test_what_is_not_written_is_named():
    for method in ("start", "stop", "poll"):
        with pytest.raises(NotImplementedError, match=rf"Spawner\.{method}"):
            await getattr(Spawner(), method)()


async def test_deleting_a_server_is_nothing_by_default():
    assert await made().delete_forever() is None
    assert [frame async for frame in made().progress()] == [{"progress": 50, "message": "Spawning server..."}]


async def test_a_server_that_nobody_is_to_ask_about_is_not_asked_about():
    class Curious(Bare):
        async def poll(self):
            raise AssertionError("asked")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await made(Curious, poll_interval=0).ended()


async def test_questions_are_asked_at_uneven_times(monkeypatch):
    pauses = []

    class Ends(Bare):
        left = 40

        async def poll(self):
            self.left -= 1
            return None if self.left else 5

    async def note(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    assert await made(Ends, poll_interval=10, poll_jitter=0.5).ended() == 5
    assert all(7.5 <= pause <= 12.5 for pause in pauses) and len(set(pauses)) > 30
    pauses.clear()
    assert await made(Ends, poll_interval=10, poll_jitter=0).ended() == 5
    assert set(pauses) == {10}


async def test_a_poll_that_fails_proves_nothing(caplog):
    class Fails(Bare):
        left = 3

        async def poll(self):
            self.left -= 1
            if self.left:
                raise RuntimeError("no")
            return 5

    assert await made(Fails, poll_interval=0.05).ended() == 5
    assert len(caplog.records) == 2


# Internal TLS ---------------------------------------------------------------------------------


class Issuer:
    async def issue(self, common_name, alt_names):
        return {"keyfile": common_name, "certfile": " ".join(alt_names), "cafile": "ca"}


async def _names_later(spawner):
    return ["DNS:later"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, "DNS:localhost IP:127.0.0.1 DNS:trusted"),
        ({"ssl_alt_names": ["DNS:x"]}, "DNS:localhost IP:127.0.0.1 DNS:x"),
        ({"ssl_alt_names": lambda it: [f"DNS:{it.user.name}"], "ssl_alt_names_include_local": False}, "DNS:ada"),
        ({"ssl_alt_names": _names_later, "ssl_alt_names_include_local": False}, "DNS:later"),
        ({"ssl_alt_names": [], "ssl_alt_names_include_local": False}, ""),
    ],
)
async def test_certificates_are_issued_for_the_names_of_the_server(options, names):
    spawner = made(**options)
    spawner.certificates = Issuer()
    spawner.trusted_alt_names = ["DNS:trusted"]
    paths = await spawner.create_certs()
    assert paths == {"keyfile": "user-ada", "certfile": names, "cafile": "ca"}
    assert await spawner.move_certs(paths) == paths


async def test_without_internal_tls_there_are_no_certificates():
    spawner = made()
    assert await spawner.create_certs() == {}
    spawner.internal_ssl = True
    with pytest.raises(RuntimeError, match="internal_ssl"):
        await spawner.create_certs()


# Refusals -------------------------------------------------------------------------------------


def test_a_refusal_has_jupyterhubs_attributes():
    from jupyterhub.spawner import SpawnException as Theirs

    for kind in (SpawnException, Theirs):
        short = kind("Full.", reason="capacity")
        assert (short.status_code, short.message, short.reason, short.message_html) == (400, "Full.", "capacity", "")
        assert short.log_message == short.get_message() == "Full."
        long = kind("Full.", reason="capacity", message_html="<b>Full.</b>", status_code=503)
        assert (long.status_code, long.message_html) == (503, "<b>Full.</b>")
        assert str(long) == "503 SpawnException(reason=capacity): Full."


def test_what_is_for_the_log_alone_is_not_for_people():
    refusal = SpawnException("Full.", reason="capacity", log_message="node 7 is full")
    assert (refusal.message, refusal.get_message()) == ("Full.", "node 7 is full")
    assert str(refusal) == "400 SpawnException(reason=capacity): node 7 is full"
