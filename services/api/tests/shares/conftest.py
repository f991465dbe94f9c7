"""Some people, two servers and a group, and what can be asked about sharing among them."""

from typing import Any
from uuid import uuid4

import pytest

from hubbub.domain.group import CreateGroup
from hubbub.domain.member import AddMember, RemoveMember, member_id
from hubbub.eventlog import Context
from hubbub.views import GROUPS, MEMBERS

BY_TEST = Context.of("test")


class Town:
    """Ada has the servers "" and lab; root administers; bob and cleo have nothing; cleo is in the group crew.

    `house`: as in the other tests of the api.
    """

    def __init__(self, house: Any) -> None:
        self.house = house

    async def build(self) -> None:
        for name in ("ada", "bob", "cleo"):
            await self.house.person(name)
        await self.house.person("root", admin=True)
        await self.house.server("ada", "")
        await self.house.server("ada", "lab")
        await self.group("crew", "cleo")

    async def call(self, method: str, path: str, who: str, *scopes: str, **more: Any) -> tuple[int, Any]:
        """Status and JSON (None if there is none), by a token of *who*, with all they may do or *scopes* alone."""
        token = await self.house.token(who, *scopes)
        answer = await self.house.ask(f"/hub/api{path}", "", method, token, **more)
        return answer.status, await answer.json() if answer.content_type == "application/json" else None

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """What the administrator is answered, who can do anything."""
        status, answer = await self.call(method, path, "root", json=body)
        assert status < 300, answer
        return answer

    async def share(self, **asked: Any) -> Any:
        return await self.done("POST", "/shares/ada/lab", asked)

    async def group(self, name: str, *members: str) -> str:
        """A new group; its id."""
        made = uuid4().hex
        await self.house.committer.execute(GROUPS, made, CreateGroup(name=name), BY_TEST.follow())
        for member in members:
            await self.join(made, member)
        return made

    async def join(self, group: str, member: str, *, leave: bool = False) -> None:
        user = await self.house.views.user(member)
        command = RemoveMember() if leave else AddMember(group=group, user=user.id)
        await self.house.committer.execute(MEMBERS, member_id(group, user.id), command, BY_TEST.follow())

    async def holds(self, who: str) -> set[str]:
        """What a token of *who* may do to servers of others."""
        _, model = await self.call("GET", "/user", who)
        return {each for each in model["scopes"] if "!server=" in each}

    async def received(self, who: str) -> list[tuple[str, list[str]]]:
        """Kind and scopes of all that is shared with *who*."""
        status, page = await self.call("GET", f"/users/{who}/shared", who)
        assert status == 200, page
        return [(each["kind"], each["scopes"]) for each in page["items"]]


@pytest.fixture
async def town(house: Any) -> Town:
    made = Town(house)
    await made.build()
    return made
