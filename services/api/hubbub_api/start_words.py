"""What the phases of a start are called, and where its time went, in sentences for people."""

#: In their order: title, "it went into ...", and what was waited for ({0}: what the log says besides).
PHASES: dict[str, tuple[str, str, str]] = {
    "request": ("Request", "the request itself", "The hub looked at the request, and at what it asks for."),
    "earlier": ("Earlier tries", "earlier tries that were lost", "The worker of an earlier try was lost. {0}"),
    "leftover": (
        "Clearing up",
        "waiting for the end of an earlier start",
        "Something of start {0} could have been there still.",
    ),
    "line": ("In line", "waiting in line for a worker", "It waited for a worker of the pool {0} that had room."),
    "handover": ("Hand-over", "the hand-over to the worker", "From the hub to the worker, and back when it was done."),
    "making": ("Making the spawner", "making the spawner", "The worker made the spawner, with its options."),
    "turn": (
        "Waiting its turn",
        "waiting for the operator's functions in other starts",
        "It waited until the operator's functions in other starts let go of the worker.",
    ),
    "scopes": (
        "Scopes",
        "the operator's functions that work out scopes",
        "Functions of the configuration worked out the scopes.",
    ),
    "pre_spawn_start": (
        "The authenticator's pre_spawn_start",
        "the authenticator's pre_spawn_start",
        "The authenticator prepared the start.",
    ),
    "auth_state": (
        "The operator's auth_state_hook",
        "the operator's auth_state_hook",
        "What is known from the login was handed to the spawner.",
    ),
    "groups": (
        "group_overrides",
        "the operator's group_overrides",
        "The settings for the groups of the person were made.",
    ),
    "options": (
        "The operator's apply_user_options",
        "the operator's apply_user_options",
        "The options of the person were applied.",
    ),
    "pre_spawn_hook": (
        "The operator's pre_spawn_hook",
        "the operator's pre_spawn_hook",
        "A function of the operator ran before the start.",
    ),
    "certificates": ("Certificates", "making certificates", "Certificates for inside the hub were made."),
    "telling": ("Telling the hub", "telling the hub what hooks have come to", "The worker waited for the hub's word."),
    "start": ("The spawner's start", "the spawner's own start", "The spawner started the server."),
    "spawner": (
        "Hooks and start",
        "the hooks and the spawner's start",
        "The worker ran the hooks and started the server; the log does not tell them apart.",
    ),
    "adoption": ("Without a worker", "waiting for another worker", "Its worker was lost; another had to take it. {0}"),
    "answer": (
        "First answer",
        "waiting for the server's first answer",
        "The server was there, but did not answer yet.",
    ),
    "route": ("Route", "the route in the proxy", "Proxy {0} had to learn where the server is."),
}
_OTHER = ("Something else", "a step called {0}", "")

#: A part of this size or more is most of it.
_MOST = 0.5
#: What takes less is quick, and nobody asks where it went.
_QUICK = 0.1


def title(name: str, proxy: str = "") -> str:
    found = PHASES.get(name, (name, "", ""))[0]
    return f"{found} in {proxy}" if proxy else found


def into(name: str) -> str:
    return PHASES.get(name, _OTHER)[1].format(name)


def within(name: str) -> str:
    """For "it failed ...": some phases are waits."""
    words = into(name)
    return f"while {words}" if words.startswith(("waiting", "making", "telling")) else f"in {words}"


def why(name: str, more: str = "") -> str:
    return PHASES.get(name, _OTHER)[2].format(more).strip()


def said(seconds: float) -> str:
    """`0.04 s`, `3.2 s`, `23 s`, `2 min 5 s`."""
    if seconds < 0.005:
        return "< 0.01 s"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


_HOW = {
    "ready": "It could be reached after {0}.",
    "failed": "It failed after {0}.",
    "cancelled": "It was called off after {0}.",
    "lost": "It was lost after {0}.",
    "stopped": "It was stopped after {0}, before it could be reached.",
    "waiting": "It has been waiting for {0}.",
    "starting": "It has been starting for {0}.",
}


def summary(outcome: str, seconds: float, longest: tuple[str, float] | None, last: str = "") -> str:
    """*longest*: which phase took the most of it, and how long. *last*: the one that it failed in, if it did."""
    told = _HOW.get(outcome, "It has taken {0}.").format(said(seconds))
    if outcome == "failed" and last:
        told = f"It failed after {said(seconds)}, {within(last)}."
    if longest is None or seconds < _QUICK or (outcome == "failed" and longest[0] == last):
        return told
    name, taken = longest
    if taken >= _MOST * seconds:
        return f"{told} Most of that, {said(taken)}, went into {into(name)}."
    return f"{told} The longest part, {said(taken)}, was {into(name)}."
