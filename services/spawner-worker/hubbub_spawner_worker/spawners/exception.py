"""How a spawner, or a hook of the operator, says that a server is not to be started."""


class SpawnException(Exception):
    """Refused on purpose: what it says is shown to who asked, and it is not counted as a fault of the house.

    `message`: for people, as text. `message_html`: the same with markup, if there is any. `log_message`: for the
    log alone. `reason`: one word for the metrics. `status_code`: that of the answer.
    """

    def __init__(
        self, message: str, *, reason: str, log_message: str = "", message_html: str = "", status_code: int = 400
    ) -> None:
        super().__init__()
        self.message = message
        self.reason = reason
        self.log_message = log_message or message
        self.message_html = message_html
        self.status_code = status_code

    def get_message(self) -> str:
        """As tornado's errors have it, for who handles both kinds."""
        return self.log_message

    def __str__(self) -> str:
        return f"{self.status_code} {type(self).__name__}(reason={self.reason}): {self.log_message}"
