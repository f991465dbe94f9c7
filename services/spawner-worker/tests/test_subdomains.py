"""What spawners and servers are told of hosts, with `c.JupyterHub.subdomain_host` and without."""

import pytest
from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets.config import Config

from hubbub.config import Options
from hubbub.rpc import Person
from hubbub_spawner_worker.classic.making import make
from hubbub_spawner_worker.hosting import Given, Hosting

SUBDOMAINS = {"subdomain_host": "https://hub.test:8443", "base_url": "/base/"}
PUBLIC = {"public_url": "https://hub.test/base/", "base_url": "/base/"}
OWN = "https://xn--grn-ioa.hub.test:8443"


class Shop:
    """As much of a workshop as it takes to say what a spawner is given."""

    kind = SimpleLocalProcessSpawner

    def __init__(self, options: Options) -> None:
        self.options = options


def given(name: str = "lab", **hub: str) -> Given:
    options = Options(Config({"JupyterHub": hub}))
    hosting = Hosting(Shop(options), None)  # type: ignore[arg-type]
    person = Person(id="p1", number=7, name="grün", admin=False)
    sealed = type("Sealed", (), {"groups": (), "auth_state": None, "options": {}, "state": {}})()
    return hosting._given(person, name, f"{options.base_url}user/gr%C3%BCn/{name}/", sealed, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hub", "domain", "host", "url", "public_host"),
    [
        (SUBDOMAINS, "xn--grn-ioa.hub.test", OWN, f"{OWN}/base/user/gr%C3%BCn/", "https://hub.test:8443"),
        (PUBLIC, "", "https://hub.test", "/base/user/gr%C3%BCn/", "https://hub.test"),
        ({"base_url": "/base/"}, "", "", "/base/user/gr%C3%BCn/", ""),
    ],
    ids=["subdomains", "public_url", "neither"],
)
def test_where_a_user_is_found(hub, domain, host, url, public_host):
    """By JupyterHub's names, for spawners of ours and of others alike."""
    told = given(**hub)
    classic = make(SimpleLocalProcessSpawner, Config(), told)
    for user in (told.user, classic.user):
        assert (user.domain, user.host, user.url) == (domain, host, url)
        assert (user.base_url, user.proxy_spec) == ("/base/user/gr%C3%BCn/", f"{domain}/base/user/gr%C3%BCn/")
        assert user.server_url("lab") == f"{url}lab/"
    public = f"{host}/base/user/gr%C3%BCn/lab/" if host else ""
    assert classic.user.public_url("lab") == classic.public_url == told.public_url == public
    assert classic.public_hub_url == (f"{public_host}/base/hub/" if public_host else "")
    assert classic.proxy_spec == f"{domain}/base/user/gr%C3%BCn/lab/"
    assert classic.hub.public_host == public_host
    assert ("DNS:xn--grn-ioa.hub.test" in classic.trusted_alt_names) == bool(domain)


@pytest.mark.parametrize("hub", [SUBDOMAINS, PUBLIC, {"base_url": "/base/"}])
def test_a_server_is_told_what_jupyterhub_would_tell_it(hub):
    """Asked of JupyterHub's own class, and of ours."""
    told = given(**hub)
    env = make(SimpleLocalProcessSpawner, Config(), told).get_env()
    own = told.user.own_host
    assert env["JUPYTERHUB_OAUTH_CALLBACK_URL"] == f"{own}/base/user/gr%C3%BCn/lab/oauth_callback"
    assert env["JUPYTERHUB_HOST"] == told.hub.public_host
    assert env["JUPYTERHUB_PUBLIC_URL"] == told.public_url
