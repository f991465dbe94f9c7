"""What somebody has written for JupyterHub: authenticators with pages, templates, cookies and a table of their own."""

import json
import sys
import threading
from typing import ClassVar

from jinja2 import DictLoader
from jupyterhub.auth import Authenticator
from jupyterhub.handlers import BaseHandler
from jupyterhub.handlers.login import LoginHandler, LogoutHandler
from jupyterhub.orm import Base, User
from jupyterhub.scopes import needs_scope
from sqlalchemy import Column, Integer, String, inspect
from tornado import web
from tornado.web import HTTPError

ELSEWHERE = "https://login.example/authorize"


class Tutorials(Authenticator):
    """The form, and nothing else."""

    async def authenticate(self, handler, data):
        if data["password"] == "closed":
            raise HTTPError(403, "We are %s", "closed")
        if data["password"] == "bug":
            raise RuntimeError("a secret")
        if data["password"] == "leave":
            sys.exit(3)
        return data["username"] if data["password"] == "right" else None


class Begin(BaseHandler):
    """Off to a login elsewhere, with a cookie that remembers where from."""

    def get(self):
        state = {"id": self.get_argument("id"), "next": self.get_argument("next", "")}
        self._set_cookie("going-on", json.dumps(state))
        self._set_cookie("two", "plain", encrypted=False)
        self.redirect(f"{ELSEWHERE}?back={self.request.protocol}://{self.request.host}{self.hub.base_url}back")


class Back(BaseHandler):
    async def get(self):
        state = json.loads(self.get_secure_cookie("going-on") or b"{}")
        self.clear_cookie("going-on")
        if state.get("id") != self.get_argument("id"):
            raise HTTPError(400, "State mismatch")
        self.next = state["next"]
        user = await self.login_user()
        if user is None:
            raise HTTPError(403, "Not you")
        self.statsd.timer("login").start().stop(send=False)
        self.redirect(self.get_next_url(user))


class OldLogin(LoginHandler):
    """For JupyterHub 1, whose `_render` had no more parameters than these."""

    def _render(self, login_error=None, username=None):
        return super()._render(login_error, username)


class Out(LogoutHandler):
    async def handle_logout(self):
        self.clear_cookie("two")

    async def render_logout_page(self):
        self.redirect("https://login.example/end")


class Own(BaseHandler):
    @web.authenticated
    async def get(self, name):
        self.finish(await self.render_template("own.html", own=name))

    @web.authenticated
    def post(self, name):
        self.write(f"changed by {self.current_user.name}: {name}")


class Managed(BaseHandler):
    @needs_scope("admin:users")
    async def get(self):
        user = self.current_user
        self.write({"name": user.name, "id": user.id, "groups": [group.name for group in user.groups]})


class Seen(BaseHandler):
    """What the application knows of a request."""

    def get(self):
        request = self.request
        names = [name.lower() for name in request.headers]
        known = {"ip": request.remote_ip, "protocol": request.protocol, "host": request.host, "uri": request.uri}
        ada = self.users.get("ada")
        self.write({**known, "headers": names, "ada": ada and ada.id, "by_id": ada and self.users[ada.id].name})


class Around(BaseHandler):
    """What it knows of where it is."""

    def get(self):
        app, public = self.settings["app"], self.settings["public_url"]
        known = {"subdomain_host": self.subdomain_host, "domain": self.domain, "public_url": public and public.geturl()}
        names = {"cookie": self.hub.cookie_name, "public_host": self.hub.public_host}
        self.write({**known, **names, "trusted": app.trusted_downstream_ips, "same": app.domain == self.domain})


class Raw(BaseHandler):
    def check_xsrf_cookie(self):
        """From elsewhere."""

    def post(self):
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Security-Policy", "frame-ancestors https://lms.example")
        self.write(self.request.body[::-1])


class Named(BaseHandler):
    """As those of proxies that say who it is: no `authenticate` at all."""

    def get(self):
        user = self.user_from_username(self.get_argument("name"))
        self.set_login_cookie(user)
        self.redirect(self.get_next_url(user))


class Another(BaseHandler):
    """Whoever it was, from now on it is somebody else."""

    async def get(self):
        self.clear_login_cookie()
        user = await self.login_user()
        self.write(user.name)


class Leaves(BaseHandler):
    def get(self):
        sys.exit(1)


class Blocks(BaseHandler):
    began, may_end = threading.Event(), threading.Event()

    def get(self):
        self.began.set()
        self.may_end.wait(20)
        self.write("at last")


class Fails(BaseHandler):
    def get(self):
        raise RuntimeError("a bug")


class Travelled(Authenticator):
    """A login elsewhere. `answer`: what it says."""

    login_service = "Elsewhere"
    answer: ClassVar = {"name": "Ada", "auth_state": {"token": "t1"}}

    async def authenticate(self, handler, data):
        return dict(self.answer) if data is None else None

    def login_url(self, base_url):
        return f"{base_url}begin"

    def get_handlers(self, app):
        return [
            ("/begin", Begin),
            ("/back", Back),
            ("/logout", Out),
            (r"/own/([^/]*)", Own),
            ("/managed", Managed),
            ("/seen", Seen),
            ("/around", Around),
            ("/raw", Raw),
            ("/named", Named),
            ("/another", Another),
            ("/leaves", Leaves),
            ("/blocks", Blocks),
            ("/fails", Fails),
        ]


class Templated(Travelled):
    def get_handlers(self, app):
        app.jinja_environment_options["extensions"] = ["jinja2.ext.do"]
        return [(r"/own/([^/]*)", OwnTemplate), ("/login", OldLogin), *super().get_handlers(app)]


class OwnTemplate(Own):
    def initialize(self):
        page = '{% extends "page.html" %}{% block main %}{{ own }} of {{ user.name }}<form>'
        page += '<input type="hidden" name="_xsrf" value="{{ xsrf }}"></form>{% endblock %}'
        environment = self.settings["jinja2_env"]
        environment.loader = environment.loader.__class__([environment.loader, DictLoader({"own.html": page})])


class Note(Base):
    __tablename__ = "notes_of_somebody"
    id = Column(Integer, primary_key=True, autoincrement=True)
    text = Column(String(100))


class Keeps(BaseHandler):
    def check_xsrf_cookie(self):
        """It is about something else."""

    def get(self):
        self.write({"notes": [note.text for note in self.db.query(Note).order_by(Note.id)]})

    def post(self):
        self.db.add(Note(text=self.get_argument("text")))
        if self.get_argument("then") == "fail":
            self.db.flush()
            raise RuntimeError("before the end")
        if self.get_argument("then") == "commit":
            self.db.commit()


class Tabled(Tutorials):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if Note.__tablename__ not in inspect(self.db.bind).get_table_names():
            Note.__table__.create(self.db.bind)

    async def authenticate(self, handler, data):
        name = await super().authenticate(handler, data)
        known = name and self.db.query(User).filter_by(name=name).first()
        self.db.add(Note(text=f"{name} is {'known' if known else 'new'}"))
        self.db.commit()
        return name

    def get_handlers(self, app):
        return [("/notes", Keeps)]
