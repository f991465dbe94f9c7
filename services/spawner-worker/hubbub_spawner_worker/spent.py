"""How long each step of a start takes: told with its outcome, and drawn for whoever asks where the time went.

Steps, in their order: `making` the spawner; `turn`: waiting until operators' functions of other starts let go of the
floor; `scopes` that callables work out; `pre_spawn_start` of the authenticator; `auth_state` and its hook; `groups`
(overrides); `options` (their hook); `pre_spawn_hook`; `certificates`; `telling` the api what that came to; `start`.
"""

import time

#: Seconds: what takes less is not worth a word.
_SHORTEST = 0.005


class Spent:
    """Each step ends where the next one begins, on whichever thread that is."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._step = ""
        self._since = 0.0

    def now(self, step: str) -> None:
        """From now on it is *step*; "": none. What is taken up again is added to what it took before."""
        self._seconds = self._until_now()
        self._step, self._since = step, time.monotonic()

    def told(self) -> dict[str, float]:
        """Seconds by step, last the one that still goes on; without others that took no time."""
        now, seconds = self._step, self._until_now()
        return {step: round(taken, 3) for step, taken in seconds.items() if taken >= _SHORTEST or step == now}

    def _until_now(self) -> dict[str, float]:
        if not self._step:
            return dict(self._seconds)
        before = self._seconds.get(self._step, 0.0)
        return {**self._seconds, self._step: before + time.monotonic() - self._since}
