r"""A hundred and more ways to write another site as a place to go to, and where a browser would go.

`lands_on` does what browsers do (https://url.spec.whatwg.org, sections 4.4 and 3.5): they drop tabs and newlines, take
`\` for `/`, and any number of slashes for two.
"""

import re
from urllib.parse import unquote

HOST = "hub.example"
EVIL = "evil.example"

#: To be tried as the value of `next`, after what a query does to it.
HOSTILE: tuple[str, ...] = (
    # Slashes, more and fewer, leaning and dropped.
    f"//{EVIL}",
    f"//{EVIL}/hub/home",
    f"///{EVIL}",
    f"////{EVIL}/x",
    f"/////{EVIL}",
    f"\\\\{EVIL}",
    f"\\/{EVIL}",
    f"/\\{EVIL}",
    f"/\\/{EVIL}",
    f"\\\\\\{EVIL}",
    f"/\\\\{EVIL}",
    f"//\\{EVIL}",
    f"\\{EVIL}",
    f"//{EVIL}\\@{HOST}/",
    f"//{EVIL}\\.{HOST}/",
    f"///\\;@{EVIL}",
    "//",
    "///",
    "\\\\",
    # What browsers drop, inside and around.
    f"/\t/{EVIL}",
    f"/\n/{EVIL}",
    f"/\r/{EVIL}",
    f"/\r\n/{EVIL}",
    f"\t//{EVIL}",
    f"\n//{EVIL}",
    f" //{EVIL}",
    f"\x00//{EVIL}",
    f"\x01//{EVIL}",
    f"\x0b//{EVIL}",
    f"\x1f//{EVIL}",
    f"\x7f//{EVIL}",
    f"/\x00/{EVIL}",
    f"/\x0c/{EVIL}",
    f"/\x85/{EVIL}",
    f"/\t\\{EVIL}",
    f"\\\t\\{EVIL}",
    f"ht\ntps://{EVIL}",
    f"java\tscript:alert(1)//{EVIL}",
    # Spaces, slashes and nothings of Unicode.
    f"\u00a0//{EVIL}",
    f"\u3000//{EVIL}",
    f"\u2028//{EVIL}",
    f"\u200b//{EVIL}",
    f"\ufeff//{EVIL}",
    f"/\u200b/{EVIL}",
    f"/\u00ad/{EVIL}",
    f"/\u202e/{EVIL}",
    f"/\u2060/{EVIL}",
    f"/\u2215{EVIL}",
    f"/\u2044{EVIL}",
    f"/\uff0f{EVIL}",
    f"\uff0f\uff0f{EVIL}",
    f"/\uff3c{EVIL}",
    f"/\u29f5{EVIL}",
    f"/\ufe68{EVIL}",
    "//evil\u3002example",
    f"//{EVIL}\uff0f{HOST}",
    f"//{HOST}\u2100{EVIL}",
    f"https\uff1a//{EVIL}",
    "/\ud800/evil.example",
    # Schemes, whole, broken, relative and others'.
    f"http://{EVIL}/",
    f"https://{EVIL}/",
    f"HTTPS://{EVIL.upper()}/",
    f"http:{EVIL}",
    f"http:/{EVIL}",
    f"http:///{EVIL}",
    f"http:\\\\{EVIL}",
    f"http:\\/{EVIL}",
    f"https:{EVIL}",
    f"https:/{EVIL}",
    f"https:////{EVIL}",
    f"https:\t//{EVIL}",
    f"://{EVIL}",
    f"ftp://{EVIL}/",
    f"ws://{EVIL}/",
    f"wss://{EVIL}/",
    f"file://{EVIL}/",
    "file:///etc/passwd",
    f"blob:https://{EVIL}/1",
    f"view-source:https://{EVIL}/",
    f"mailto:x@{EVIL}",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    f"javascript://{HOST}/%0aalert(1)",
    "data:text/html,<script>alert(1)</script>",
    "data:text/html;base64,PHNjcmlwdD4=",
    "vbscript:msgbox(1)",
    # Hosts that only begin, end or pose as ours.
    f"//{HOST}.{EVIL}/",
    f"//{HOST}@{EVIL}/",
    f"//{HOST}:80@{EVIL}/",
    f"//user:{HOST}@{EVIL}/",
    f"//{HOST}%40{EVIL}/",
    f"//{HOST}%2f@{EVIL}/",
    f"//{HOST}#@{EVIL}/",
    f"//{HOST}?@{EVIL}/",
    f"//{EVIL}#{HOST}/",
    f"//{EVIL}?{HOST}/",
    f"//{EVIL}/{HOST}",
    f"//{EVIL}%00.{HOST}/",
    f"//{EVIL}%2e{HOST}/",
    f"//x{HOST}/",
    f"//{HOST}:444/",
    f"//{HOST}:/..//{EVIL}",
    f"http://{HOST}:8000/",
    f"http://{HOST}\\@{EVIL}/",
    f"http://{HOST};{EVIL}/",
    f"http://{HOST},{EVIL}/",
    f"http://{HOST}\t.{EVIL}/",
    f"http://{HOST}&@{EVIL}/",
    "http://[::ffff:7f00:1]/",
    f"http://[{EVIL}/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://hub\u2024example/",
    "http://h\u0443b.example/",
    "http://\u04bbub.example/",
    "http://hub.e\u0445ample/",
    "http://xn--hb-xka.example/",
    # Encoded once more, or in pieces.
    f"%2f%2f{EVIL}",
    f"%2f/{EVIL}",
    f"/%2f{EVIL}",
    f"/%5c{EVIL}",
    f"/%09/{EVIL}",
    f"/%0d/{EVIL}",
    f"/%00/{EVIL}",
    f"/%252f{EVIL}",
    f"%68ttps://{EVIL}",
    f"/%e2%88%95{EVIL}",
    f"/%c0%af{EVIL}",
    # Ways up, parameters, and answers within an answer.
    f"/./{EVIL}",
    f"/.//{EVIL}",
    f"/..//{EVIL}",
    f"/hub/..//{EVIL}",
    f"/hub/../../\\{EVIL}",
    f"/%2e%2e//{EVIL}",
    f"/;//{EVIL}",
    f"/;@{EVIL}",
    f"/@{EVIL}",
    f"/.{EVIL}",
    f"/?//{EVIL}",
    f"/#//{EVIL}",
    f".{EVIL}",
    f"@{EVIL}",
    f":{EVIL}",
    f";{EVIL}",
    f"?next=//{EVIL}",
    f"#//{EVIL}",
    f"{EVIL}",
    f"/hub/home\r\nLocation: https://{EVIL}/",
    "/hub/home\r\n\r\n<script>alert(1)</script>",
    "/hub/home\nSet-Cookie: jupyterhub-session-id=planted",
    "/hub/home\u560d\u560aSet-Cookie: a=b",
    f"/hub/login?next=//{EVIL}",
    f"/hub/logout?next=//{EVIL}",
    "/" + "x" * 5000,
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_SPECIAL = ("http", "https", "ws", "wss", "ftp")


def lands_on(location: str, host: str = HOST, scheme: str = "http") -> str:
    """The host (with its port) to which a browser on *host* goes from there; `<scheme>:` for one without hosts."""
    url = location.strip("".join(map(chr, range(0x21))))
    url = re.sub(r"[\t\n\r]", "", url)
    if found := _SCHEME.match(url):
        wanted, rest = found[1].lower(), found[2]
        if wanted not in _SPECIAL:
            return f"{wanted}:"
        slashes = len(rest) - len(rest.lstrip("/\\"))
        if wanted == scheme and slashes < 2:
            return host  # relative, though it names a scheme
        return _authority(rest.lstrip("/\\"))
    if len(url) - len(url.lstrip("/\\")) >= 2:
        return _authority(url.lstrip("/\\"))
    return host


def _authority(rest: str) -> str:
    return unquote(re.split(r"[/\\?#]", rest, maxsplit=1)[0].rpartition("@")[2]).lower()
