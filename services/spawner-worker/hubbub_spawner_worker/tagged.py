"""User options as JSON, files and all: bytes become a tagged object, as JupyterHub stores them (contract, part 6.5)."""

import base64
import binascii
from typing import Any

import structlog

log = structlog.get_logger()

TAG = "__jupyterhub_bytes__"


def tagged(value: Any) -> Any:
    """*value* as plain JSON. What is neither JSON nor bytes becomes null, and a warning."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {str(key): tagged(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [tagged(each) for each in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return {TAG: True, "data": base64.b64encode(value).decode()}
    log.warning("options.not_json", type=type(value).__name__)
    return None


def revived(value: Any) -> Any:
    """*value* with its bytes again; null for those that are damaged."""
    if isinstance(value, list):
        return [revived(each) for each in value]
    if not isinstance(value, dict):
        return value
    if not value.get(TAG):
        return {key: revived(each) for key, each in value.items()}
    try:
        return base64.b64decode(value["data"])
    except (KeyError, TypeError, ValueError, binascii.Error):
        log.warning("options.damaged_bytes")
        return None
