"""What can go wrong with the embedded stack, each in one sentence for the person at the keyboard."""


class StackError(Exception):
    """Something a person has to put right; its text says what, and is all that is shown."""


class ShutDown(Exception):
    """Somebody who may has asked the api to end the house (`POST /shutdown`)."""
