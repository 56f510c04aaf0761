"""While a single istiod is exchanged nobody checks Istio's objects, and the API server refuses them for a moment."""

import asyncio
import re

import pulumi

TRIES, PAUSE = 15, 2
"""How often an object is tried again, and seconds before each time."""

AWAY = re.compile(r'failed calling webhook "[a-z.-]*validation\.istio\.io"')
"""What the API server says when it cannot reach istiod. Of what istiod refuses it says `denied the request`."""


async def try_again(args: pulumi.ErrorHookArgs) -> bool:
    """Tell whether an object is to be tried again, after a pause."""
    if len(args.errors) > TRIES or not AWAY.search(args.errors[0]):
        return False
    await asyncio.sleep(PAUSE)
    return True
