"""The step from a provider's site into the hub, once somebody is logged in.

A browser says of each request which site has sent it there, and goes on saying that along redirects. So what the hub
would do at once for somebody who comes from its own pages (start their server) it would not do after a login
elsewhere. A page of ours in between is where they come from then. It is left out, and they are asked, where the
address says more than where to go: a link on some other site may have been made for that.
"""

from aiohttp import web

from hubbub.web import pages
from hubbub.web.request import GATE


def step(request: web.Request, response: web.Response) -> None:
    """Make a page that goes on by itself of the redirect *response*, if another site has sent the browser."""
    location = response.headers.get("Location", "")
    prefix = request.app[GATE].options.hub_prefix
    if response.status != 302 or request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
        return
    if not location.startswith("/") or "?" in location or location.startswith(f"{prefix}spawn"):
        return
    page = pages.render(request, "onwards.html", location=location)
    response.set_status(200)
    del response.headers["Location"]
    response.content_type = "text/html"
    response.charset = "utf-8"
    response.body = page.body
