"""A spawner that starts nothing: asked for its options form, and for what a filled in one comes to."""

from collections.abc import Callable
from typing import Any

from hubbub.as_in_tornado import Handler
from hubbub.plugin import settled
from hubbub_spawner_worker.hosted import PREPARE_PATIENCE, Hosted


class FormHosted:
    """A spawner, and the request that its form is about."""

    def __init__(self, hosted: Hosted, handler: Handler, auth_state: dict[str, Any] | None) -> None:
        self.spawner = hosted.spawner
        self._hosted = hosted
        self._auth_state = auth_state
        hosted.spawner.handler = handler

    async def get_options_form(self) -> Any:
        return await self._ask(self.spawner.get_options_form)

    async def run_options_from_form(self, form: dict[str, list[Any]]) -> Any:
        return await self._ask(self.spawner.run_options_from_form, form)

    async def options_from_query(self, query: dict[str, list[str]]) -> Any:
        return await self._ask(self.spawner.options_from_query, query)

    async def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._hosted.floor.call(self._after_hook, function, *arguments, patience=PREPARE_PATIENCE)

    async def _after_hook(self, function: Callable[..., Any], *arguments: Any) -> Any:
        await settled(self.spawner.run_auth_state_hook(self._auth_state))
        return await settled(function(*arguments))
