"""Templates, names, announcements and a logo of the operator's, as JupyterHub's documentation has them."""

from pathlib import Path

import pytest
from traitlets.config import Config

from hubbub.config import Options

PAGE = """{% extends "templates/page.html" %}
{% block footer %}<p id="mine">{{ motto }} {{ greeting }} {{ nobody_knows_this }}</p>
<script>mine()</script><i onclick="click()">{{ unsafe | safe }}</i>{% endblock %}
"""
#: Words of JupyterHub's own page.html.
SCOPED = """{% extends "templates/sessions.html" %}{% block footer %}
{% if "admin-ui" in parsed_scopes %}<i>admin</i>{% endif %}
{{ user.url }}{{ user.groups | map(attribute="name") | join }}
{% for service in services %}<a href="{{ service.href }}">{{ service.name }}</a>{% endfor %}
{{ expanded_scopes | length > 3 }} {{ xsrf_token == xsrf }}{% endblock %}
"""
HOME = """{% extends "templates/home.html" %}
{% block main %}<p>Welcome, {{ user.name }} of {{ base_url }}</p>{{ super() }}{% endblock %}
"""
NOT_FOUND = """{% extends "error.html" %}{% block main %}<p>Lost: {{ status_code }}</p>{% endblock %}"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"page": PAGE, "home": HOME, "404": NOT_FOUND, "sessions": SCOPED}.items():
        (tmp_path / f"{name}.html").write_text(text)
    (tmp_path / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return tmp_path


@pytest.fixture
def options(folder: Path) -> Options:
    hub = {
        "template_paths": [str(folder)],
        "services": [{"name": "desk", "url": "http://127.0.0.1:9"}, {"name": "hushed", "api_token": "t" * 16}],
        "load_roles": [{"name": "user", "scopes": ["self", "access:services!service=desk"]}],
        "logo_file": str(folder / "logo.png"),
        "template_vars": {
            "motto": "<b>Bread",
            "unsafe": "<script>theirs()</script>",
            "greeting": lambda user: f"Hello {user.name if user else 'stranger'}",
            "announcement": "<i>Down</i> on Monday<script>say()</script>",
            "announcement_home": "Only <i>here</i>",
        },
    }
    return Options(Config({"JupyterHub": hub}))


async def test_their_templates_replace_ours_and_extend_them(house):
    await house.person("ada")
    page = await (await house.ask("/hub/home", "ada")).text()
    assert "Welcome, ada of /hub/<" in page
    assert 'id="default"' in page  # what ours has is there, too
    assert "&lt;b&gt;Bread Hello ada" in page
    assert "Only <i>here</i>" in page
    assert "on Monday" not in page
    elsewhere = await (await house.ask("/hub/token", "ada")).text()
    assert "<i>Down</i> on Monday" in elsewhere


async def test_their_scripts_run_by_the_nonce_of_the_answer(house):
    await house.person("ada")
    answer = await house.ask("/hub/token", "ada")
    page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert f'<script nonce="{nonce}">mine()' in page
    assert f'<script nonce="{nonce}">say()' in page
    assert "<script>theirs()" in page  # whatever else gets into a page has no nonce
    assert "'unsafe-hashes' 'sha256-" in policy


async def test_names_of_jupyterhubs_are_there(house):
    await house.person("ada")
    page = await (await house.ask("/hub/sessions", "ada")).text()
    assert "/user/ada/" in page
    assert '<a href="/services/desk/">desk</a>' in page
    assert "hushed" not in page
    assert "<i>admin</i>" not in page
    assert "True True" in page
    await house.person("root", admin=True)
    assert "<i>admin</i>" in await (await house.ask("/hub/sessions", "root")).text()


async def test_their_error_page_of_a_status_and_their_logo(house):
    await house.person("ada")
    answer = await house.ask("/hub/nowhere", "ada")
    assert (answer.status, "Lost: 404" in await answer.text()) == (404, True)
    answer = await house.ask("/hub/logo")
    assert (answer.content_type, await answer.read()) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert 'src="/hub/logo"' in await (await house.ask("/hub/sessions", "ada")).text()


async def test_a_template_that_fails_is_a_page_that_says_so(house, folder: Path):
    await house.person("ada")
    (folder / "home.html").write_text("{{ user.name.no_such }}{{ undefined_thing.attribute }}")
    answer = await house.ask("/hub/home", "ada")
    assert answer.status == 500
    assert "template" in await answer.text()
    (folder / "error.html").write_text("{{ broken }")
    (folder / "page.html").write_text("{% broken %}")
    answer = await house.ask("/hub/nowhere", "ada")
    assert (answer.status, "Not Found" in await answer.text()) == (404, True)
