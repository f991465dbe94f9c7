"""What operators' code means by raising: a status, and words for people."""

from typing import Any

from traitlets import TraitError

from hubbub.form_messages import FormRefusal

#: Nobody raises these to say something to people: they are mistakes, and a `'size'` alone would puzzle everyone.
_MISTAKES = (LookupError, TypeError, AttributeError, NameError)

#: What JupyterHub's Spawner says instead of what was wrong.
_WORDLESS = "Invalid user options"


def refusal_of(error: BaseException, status: int) -> FormRefusal:
    """*status*: unless *error* names one, as those of tornado and JupyterHub do."""
    said = getattr(error, "status_code", None)
    html = getattr(error, "jupyterhub_html_message", None) or getattr(error, "message_html", None)
    headers = getattr(error, "headers", None)
    return FormRefusal(
        status=said if isinstance(said, int) and 400 <= said < 600 else status,
        message=words_of(error),
        html=str(html or ""),
        headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
    )


def is_meant(error: BaseException) -> bool:
    """Whether it was raised to be shown, not by mistake."""
    told = hasattr(error, "status_code") or hasattr(error, "jupyterhub_message")
    return told or isinstance(error, ValueError | TraitError)


def words_of(error: BaseException) -> str:
    """For people; never empty."""
    if _of_http(error) == _WORDLESS and isinstance(error.__context__, Exception):
        return f"{_WORDLESS}: {words_of(error.__context__)}"
    for given in (getattr(error, "jupyterhub_message", None), _of_http(error)):
        if given:
            return str(given)
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text and isinstance(error, _MISTAKES) else text or name


def _of_http(error: Any) -> Any:
    """What an exception of the family of `tornado.web.HTTPError` says, without its status in front of it."""
    if not hasattr(error, "status_code"):
        return None
    text, arguments = getattr(error, "log_message", None), getattr(error, "args", ())
    if text and isinstance(arguments, tuple) and arguments:
        try:
            text = text % arguments
        except (TypeError, ValueError):
            return text
    elif text:
        text = text.replace("%%", "%")  # doubled by tornado where there is nothing to fill in
    return getattr(error, "message", None) or text or getattr(error, "reason", None)
