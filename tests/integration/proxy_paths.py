"""Of the proxies' suite: whose server a path means, however it is spelled, and what of it arrives."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote

from proxy_stage import NAMED, PEOPLE, Stage

HUB, NOBODY = "hub", "nobody"


def spelled(prefix: str) -> list[str]:
    """The *prefix* in every way that means the same."""
    names = [unquote(part) for part in prefix.strip("/").split("/")]

    def joined(parts: Iterable[str]) -> str:
        return "/" + "/".join(parts) + "/"

    everything = joined("".join(f"%{byte:02X}" for byte in name.encode()) for name in names)
    return list(
        dict.fromkeys(
            (
                prefix,
                joined(quote(name, safe="") for name in names),
                joined(quote(name, safe="~!$&'()*+,;=:@") for name in names),
                everything,
                everything.lower(),
            )
        )
    )


#: What comes after a prefix, and is none of the proxy's business.
RESTS = (
    "", "?", "?a=b&a=c", "x?next=%2Fuser%2Fbob%2F", "a%2Fb/c%252Fd/%E4%BD%A0?q=%zz&%00", "lab/tree/two%20words;v=1,2",
    "x+y%2By?x+y", "~/@:!$&'()*+,;=", "a%3Fb%23c?d?e", "%5Bx%5D?[y]", "api/contents/.hidden/..x/x..", "x?url=http://a/../b//c",
    "x" * 8000, "?" + "y" * 8000,
)  # fmt: skip

#: A target, and who may get it, of `ada`, `bob`, `ad`; the hub may, and to refuse is right as well.
TRAPS: Sequence[tuple[str, set[str]]] = (
    # Dots: those whose path it is as it stands, or after they are resolved.
    ("/user/ada/../bob/x", {"ada", "bob"}),
    ("/user/ada/%2e%2e/bob/x", {"ada", "bob"}),
    ("/user/ada/.%2E/bob/x", {"ada", "bob"}),
    ("/user/ada/..%2Fbob/x", {"ada", "bob"}),
    ("/user/ada/..%252fbob/x", {"ada"}),
    ("/user/ada%2F..%2Fbob/x", {"ada", "bob"}),
    ("/user/ada/..;/bob/x", {"ada"}),
    ("/user/ada/..\\bob/x", {"ada", "bob"}),
    ("/user/ada/..%5Cbob/x", {"ada"}),
    ("/user/../user/bob/x", {"bob"}),
    ("/user/./bob/x", {"bob"}),
    ("/user/ada/../../user/bob/x", {"ada", "bob"}),
    ("/user/ada/../../../../user/bob/x", {"ada", "bob"}),
    ("/../user/bob/x", {"bob"}),
    ("/hub/../user/bob/x", {"bob"}),
    ("/user/ada/../../hub/home", {"ada"}),
    ("/services/page/../../user/bob/x", {"service", "bob"}),
    # Slashes.
    ("/user//bob/x", {"bob"}),
    ("//user/bob/x", {"bob"}),
    ("///user/bob/x", {"bob"}),
    ("/user/bob//x", {"bob"}),
    ("/user/bob%2Fx", {"bob"}),
    ("/user%2Fbob%2Fx", {"bob"}),
    ("\\user\\bob\\x", {"bob"}),
    # Names that are not quite somebody's.
    ("/user/a/", set()),
    ("/user/adaa/", set()),
    ("/user/ADA/", set()),
    ("/user/ada%20/", set()),
    ("/user/ada%00/", set()),
    ("/user/ada%0a/", set()),
    ("/user/ada;x/", set()),
    ("/user/ada%3Bx/", set()),
    ("/user/ada%3Fx/", set()),
    ("/user/%2561da/", set()),
    ("/user/ada%25/", set()),
    ("/user/ada%/", set()),
    ("/user/ada%zz/", set()),
    ("/user/ada%ff/", set()),
    ("/user/%c1%a1da/", set()),
    ("/user/two+words/", set()),
    ("/user/a%20b/", set()),
    ("/user/per%2525cent/", set()),
    ("/user/que?stion/", set()),
    ("/user/at%2540example.org/", set()),
    ("/User/ada/", set()),
    ("/user/", set()),
    ("/", set()),
    ("/?/user/ada/", set()),
    ("/%3F/user/ada/", set()),
    ("/;/user/ada/", set()),
    ("/hub/user/ada/", set()),
    ("/services/page%20/", set()),
    # What is no path at all.
    ("user/ada/", {"ada"}),
    ("http://hub.test/user/bob/x", {"bob"}),
    ("http://elsewhere.example/user/bob/x", {"bob"}),
    ("http://ada@elsewhere.example:99/user/bob/x", {"bob"}),
    ("https://elsewhere.example/user/ada/../bob/x", {"ada", "bob"}),
)


def as_sent(target: str) -> set[str]:
    """What an upstream may see of a target, in absolute form, too."""
    scheme, _, rest = target.partition("://")
    return {target, "/" + rest.partition("/")[2]} if scheme in ("http", "https") else {target}


def _is_faithful(stage: Stage, target: str, whose: str, seen: str) -> bool:
    """The server *seen* what was asked for, or that with its dots resolved, if that is the nature of the proxy."""
    resolved = {stage.places[whose] + "x"} if stage.kind.cleans else set()
    return seen in {stage.kind.writes(each) for each in as_sent(target)} | resolved


class Paths:
    async def test_each_name_is_led_to_its_own_server_however_it_is_spelled(self, stage: Stage):
        for whose, place in stage.places.items():
            for prefix in spelled(place):
                answer = await stage.ask(f"{prefix}here?{prefix}")
                assert stage.whose(answer) == whose, (prefix, answer)
                assert answer.json()["target"] == stage.kind.writes(f"{prefix}here?{prefix}")

    async def test_what_comes_after_it_arrives_to_the_letter(self, stage: Stage):
        for whose in ("bob", "ada/lab", "jürgen", "service", "extra"):
            for rest in RESTS:
                answer = await stage.ask(stage.places[whose] + rest)
                assert stage.whose(answer) == whose, (whose, rest, answer)
                assert answer.json()["target"] == stage.kind.writes(stage.places[whose] + rest)

    async def test_no_spelling_leads_to_somebody_elses_server(self, stage: Stage):
        wrong = []
        for target, allowed in TRAPS:
            answer = await stage.ask(target)
            whose = stage.whose(answer)
            if whose not in {*allowed, HUB, NOBODY}:
                wrong.append((target, whose))
            elif whose in allowed and not _is_faithful(stage, target, whose, answer.json()["target"]):
                wrong.append((target, answer.json()["target"]))
        assert not wrong, "\n".join(map(str, wrong))

    async def test_letters_that_are_not_quoted_are_taken_for_what_they_are_or_refused(self, stage: Stage):
        for raw, whose in (
            ("/user/jürgen/".encode(), "jürgen"),
            ("/user/日本/".encode(), "日本"),
            ("/user/jürgen/".encode("latin-1"), ""),
            (b"/user/ada\xc0\xaf..\xc0\xafbob/", ""),
            (b"/user/ada\t/", ""),
            (b"/user/ad\x00a/", ""),
        ):
            try:
                answer = await stage.ask(raw)
            except (EOFError, ConnectionError):
                continue  # hung up
            assert stage.whose(answer) in {whose, HUB, NOBODY}, (raw, answer)

    async def test_a_server_without_its_slash_is_the_same_server_or_told_so_by_the_hub(self, stage: Stage):
        for whose in ("ada", "ada/lab", "jürgen", "two words"):
            for rest in ("", "?x=1"):
                target = stage.places[whose].rstrip("/") + rest
                answer = await stage.ask(target)
                # That of ada is above those of her named servers.
                assert stage.whose(answer) in {whose, HUB, whose.partition("/")[0]}, (target, answer)

    async def test_a_named_server_is_told_from_its_owners(self, stage: Stage):
        for rest, whose in (
            ("lab/x", "ada/lab"),
            ("labx/", "ada"),
            ("LAB/", "ada"),
            ("x/lab/", "ada"),
            ("%6Cab/", "ada/lab"),
        ):
            answer = await stage.ask(f"{stage.places['ada']}{rest}")
            assert stage.whose(answer) == whose, (rest, answer)

    async def test_whoever_has_no_server_is_sent_to_the_hub(self, stage: Stage):
        for target in ("/user/carl/lab", "/user/nobody/", "/services/nothing/", "/extr/", "/favicon.ico", "/hub/login"):
            answer = await stage.ask(target)
            assert stage.whose(answer) == HUB, (target, answer)

    async def test_no_upstream_was_ever_asked_for_what_is_not_its_own(self, stage: Stage):
        for whose in stage.places:
            assert (await stage.seen(whose))["strays"] == [], whose

    async def test_all_routes_are_listed_and_nothing_else_is(self, stage: Stage):
        routes = await stage.routes()
        kinds = {frozenset(route["data"]) - {"last_activity"}: spec for spec, route in routes.items()}
        assert {frozenset({"hub"}), frozenset({"user", "server_name"}), frozenset({"service"})} <= kinds.keys()
        owned = {spec for spec, route in routes.items() if "hub" not in route["data"]}
        assert owned | {"/extra/"} == set(stage.places.values())
        servers = {f"{name}/" for name in PEOPLE} | {f"ada/{name}" for name in NAMED}
        listed = {
            f"{data['user']}/{data['server_name']}" for data in (r["data"] for r in routes.values()) if "user" in data
        }
        assert listed == servers
        await stage.until_all_answer(10)
