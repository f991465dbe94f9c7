"""How many starts in a row have failed: whether this worker had better take no more (`consecutive_failure_limit`)."""


class Failures:
    """*limit*: how many it takes; 0: any number."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.in_a_row = 0

    def note_success(self) -> None:
        self.in_a_row = 0

    def note_error(self) -> None:
        self.in_a_row += 1

    @property
    def exceeded(self) -> bool:
        return 0 < self.limit <= self.in_a_row


def is_error(error: BaseException) -> bool:
    """Whether it is the house's fault.

    A SpawnException, JupyterHub's or ours, is a refusal on purpose, and so is an HTTP error below 500.
    """
    if any(kind.__name__ == "SpawnException" for kind in type(error).__mro__):
        return False
    status = getattr(error, "status_code", 500)
    return not isinstance(status, int) or status >= 500
