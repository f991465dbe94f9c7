"""Why something was not archived, backed up or restored."""


class Refused(Exception):
    """It would not be right to do that; says why."""
