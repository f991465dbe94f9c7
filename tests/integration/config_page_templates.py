"""The operator's HTML everywhere: a login form of their own with a script, announcements, a template, a logo."""

import os
from pathlib import Path

c = get_config()  # noqa: F821

folder = Path(os.environ["HUBBUB_DATA"]) / "templates"
folder.mkdir(exist_ok=True)
(folder / "page.html").write_text(
    '{% extends "templates/page.html" %}'
    '{% block footer %}<p id="physics">Run by physics</p>'
    '<script>document.getElementById("physics").textContent += ", for {{ user.name if user else "all" }}";</script>'
    "{% endblock %}"
)
(folder / "logo.svg").write_text(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 20"><rect width="80" height="20" fill="#246"/></svg>'
)
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "password-of-everyone"
c.Authenticator.allow_all = True
c.Authenticator.custom_html = """
<form action="{{ login_url }}?next={{ next }}" method="post">
  <input type="hidden" name="_xsrf" value="{{ xsrf }}">
  {% if login_error %}<p class="error" role="alert">{{ login_error }}</p>{% endif %}
  <p><label>Name <input name="username" value="{{ username }}"></label></p>
  <p><label>Password <input name="password" type="password"></label></p>
  <p><button class="button">Log in</button></p>
  <p id="hint" style="font-weight: 600">Physics only</p>
</form>
<script>document.getElementById("hint").textContent = "Members of physics only";</script>
"""
c.JupyterHub.redirect_to_server = False
c.JupyterHub.template_paths = [str(folder)]
c.JupyterHub.logo_file = str(folder / "logo.svg")
c.JupyterHub.template_vars = {
    "announcement": "<b>Down</b> on Monday",
    "announcement_login": '<a href="/help">Help</a> with logging in',
}
