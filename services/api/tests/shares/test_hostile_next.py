"""Where the page of a share code sends people who have accepted it."""

from typing import Any
from urllib.parse import quote

from hubbub.testing.redirects import HOSTILE, lands_on


async def test_nobody_is_sent_elsewhere_by_an_invitation(town: Any) -> None:
    code = (await town.done("POST", "/share-codes/ada/lab", {}))["code"]
    kept = 0
    for place in HOSTILE:
        where = f"/hub/accept-share?code={code}&next={quote(place, safe='', errors='surrogatepass')}"
        form = {"_xsrf": town.house.xsrf("bob"), "code": code}
        answer = await town.house.ask(where, "bob", "POST", data=form)
        if answer.status == 400 and "\0" in place:
            continue
        going = answer.headers["Location"]
        assert answer.status == 302
        assert lands_on(going) == lands_on("/"), place
        assert going.isprintable(), place
        kept += going != "/user/ada/lab/"
    assert 10 < kept < len(HOSTILE) / 2
