"""What a service is by what was said of it."""

import pytest
from traitlets.config import Config

from hubbub.config import ConfigError, Options
from hubbub.services import BadService, origin_of, spec_of

BACK = "https://lab.example/callback"


@pytest.mark.parametrize(
    ("said", "client", "back"),
    [
        ({}, "", ""),
        ({"oauth_client_allowed_scopes": ["self"]}, "", ""),
        ({"url": "http://x"}, "service-lab", "/base/services/lab/oauth_callback"),
        ({"url": "http://x", "oauth_redirect_uri": BACK}, "service-lab", BACK),
        ({"oauth_redirect_uri": "/hub/x", "oauth_client_id": "service-x"}, "service-x", "/hub/x"),
        ({"oauth_no_confirm": True, "oauth_redirect_uri": BACK}, "service-lab", BACK),
    ],
)
def test_people_log_in_where_there_is_a_page_or_where_it_is_said(said, client, back):
    spec = spec_of({"name": "lab", "api_token": "secret", "command": ["x"], **said}, "/base/")
    assert (spec.oauth_client_id, spec.oauth_redirect_uri) == (client, back)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"url": "ftp://x"}, "is not an address"),
        ({"url": "http:///x"}, "names no host"),
        ({"url": "http://x", "oauth_client_id": "lab"}, "must begin with 'service-'"),
        ({"oauth_no_confirm": True}, "needs an oauth_redirect_uri"),
        ({"url": "http://x", "oauth_redirect_uri": "//x/"}, "needs an oauth_redirect_uri"),
        ({"display": "yes"}, "Expected `bool`"),
    ],
)
def test_what_cannot_be_is_named(said, why):
    with pytest.raises(BadService, match=f"^Service lab: .*{why}"):
        spec_of({"name": "lab", **said}, "/")


def test_the_operator_is_told_at_the_start():
    services = [{"name": "lab", "oauth_no_confirm": True}]
    with pytest.raises(ConfigError, match=r"^c\.JupyterHub\.services: Service lab: it needs an oauth_redirect_uri"):
        Options(Config({"JupyterHub": {"services": services}}))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://10.0.0.7", "http://10.0.0.7:80"),
        ("https://lab.example/deep/path?x=1", "https://lab.example:443"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_the_proxy_is_sent_to_the_root_of_the_service(url, origin):
    assert origin_of(url) == origin
