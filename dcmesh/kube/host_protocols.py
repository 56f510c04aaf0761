"""How a container asks a host, in its protocol: for the probe at the end of `up`, for the status and the doctor."""

from pathlib import Path

CONNECT_SECONDS = 5
"""How long a consumer's proxy tries to connect to the other site while it keeps the consumer's connection open: the
`connectTimeout` of an import."""

OPEN_SECONDS = CONNECT_SECONDS + 2
"""How long a connection must stay open for a host whose probe is `tcp`."""

ASK_HOST = Path(__file__).with_suffix(".sh").read_text()


def asking(script: str, *, seconds: int) -> str:
    """Return a script that can ask hosts by `$ask HOST PORT KIND`.

    Args:
        script: the script, for any POSIX shell.
        seconds: how long a host may take for an answer, and again for the first line of what it says.
    """
    return f"seconds={seconds} open_seconds={OPEN_SECONDS}\n{ASK_HOST}\n{script}"
