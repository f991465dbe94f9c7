"""How far this process has heard the log: positions have no gaps, so whatever was missed shows."""


class Cursor:
    """Each verb answers whether something was missed since the one before."""

    def __init__(self) -> None:
        self._epoch = ""
        self._position = 0
        self._promised = 0

    def begin(self, epoch: str, position: int) -> None:
        """Everything up to there is known from a snapshot: the first word heard may already be too late a one."""
        if not self._epoch:
            self._enter(epoch, position)

    def hear(self, epoch: str, position: int) -> bool:
        """An event. One that is heard again, as a publisher may do, is no news."""
        if epoch != self._epoch:
            return self._enter(epoch, position)
        missed = position > self._position + 1
        self._position = max(self._position, position)
        return missed

    def beat(self, epoch: str, head: int) -> bool:
        """The publisher says how far it has sent. What it says is on its way has until its next word to come."""
        if epoch != self._epoch:
            return self._enter(epoch, head)
        missed = self._promised > self._position
        self._position = max(self._position, self._promised)
        self._promised = head
        return missed

    def _enter(self, epoch: str, position: int) -> bool:
        known = self._epoch != ""
        self._epoch, self._position, self._promised = epoch, position, position
        return known
