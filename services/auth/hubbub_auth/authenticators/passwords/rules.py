"""Which passwords are taken, and as which bytes (NIST SP 800-63B, 3.1.1.2: length matters, composition does not)."""

import string
import unicodedata

#: Characters. Longer ones are not even looked at.
LONGEST = 1024

_AROUND = string.digits + string.punctuation + " "

#: What is guessed first, as it is or with digits and signs around it.
_COMMON = frozenset(
    """
    password passwort passw0rd p@ssword p@ssw0rd motdepasse contraseña wachtwoord
    qwerty qwertyui qwertyuiop qwertz qwertzui azerty azertyui asdfgh asdfghjk asdfghjkl zxcvbnm 1q2w3e4r 1qaz2wsx
    1q2w3e4r5t qazwsx qazwsxedc q1w2e3r4 abc abcd abcdef abcdefg abcdefgh abcdefghij a1b2c3d4
    letmein welcome changeme default secret admin administrator root user guest login master dragon monkey shadow
    sunshine princess football baseball superman batman iloveyou trustno whatever starwars computer internet
    hubbub jupyter jupyterhub jupyterlab notebook python opensesame correcthorsebatterystaple
    """.split()  # noqa: SIM905  (fifty lines otherwise)
)
_RUNS = ("01234567890123456789", "98765432109876543210", "abcdefghijklmnopqrstuvwxyz")


def problem(password: str, name: str, shortest: int) -> str:
    """Why *password* is not taken for the account *name*, as a sentence; empty if it is. *shortest*: characters."""
    if len(password) < shortest:
        return f"A password has at least {shortest} characters."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in password):
        return "A password has no control characters."
    if _is_guessed_soon(password.casefold(), name.casefold()):
        return "That password is among the first that are guessed. Take a few words that have no connection, say."
    return ""


def _is_guessed_soon(password: str, name: str) -> bool:
    bare = password.strip(_AROUND)
    if {password, bare, "".join(password.split())} & _COMMON or bare == name or password == name[::-1]:
        return True
    return len(set(password)) < 4 or any(password in run for run in _RUNS)


def encoded(password: str) -> bytes:
    """The bytes that are hashed: one form for what keyboards send in several."""
    return unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
