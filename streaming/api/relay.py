"""The stream of an account that another process owns, taken from there: the owner checks the keys again.

Updates pass as they come. When the owner ends the stream, is silent, or is the owner no longer, this one ends too: what
a new owner told in between would be missing. A relayed stream is not relayed again.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from streaming.api.forward import MARK, WITHIN_S
from streaming.api.keys import Key
from streaming.owner.desk import Desk, DeskError, NotOwner, NotReady
from trading.orders.state import State

UPDATES = "trade_updates"
# An owner that stands still says nothing; nor does a quiet account.
PING_S = 5.0
LOOK_S = 1.0
QUEUE_FRAMES = 16
_encoder = msgspec.json.Encoder()
# At DEBUG the library logs each frame, the one with the secret too.
_quiet = logging.getLogger("relay")
_quiet.setLevel(logging.WARNING)


class _Told(msgspec.Struct):
    code: str = ""
    message: str = ""
    status: str = ""


class _Frame(msgspec.Struct):
    stream: str
    data: _Told


class _Head(msgspec.Struct):
    stream: str


_frames = msgspec.json.Decoder(_Frame)
_heads = msgspec.json.Decoder(_Head)


@contextlib.asynccontextmanager
async def relayed(elsewhere: NotOwner, key: Key, id_: str) -> AsyncIterator[ClientConnection]:
    """Yield a connection to the owner that listens for the account of a key; raise `NotReady`."""
    address = (elsewhere.url or "").replace("http", "ws", 1) + "/stream"
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(WITHIN_S):
                opening = connect(
                    address,
                    additional_headers={MARK: id_},
                    proxy=None,
                    compression=None,
                    max_queue=QUEUE_FRAMES,
                    ping_interval=PING_S,
                    ping_timeout=PING_S,
                    close_timeout=LOOK_S,
                    logger=_quiet,
                )
                owner = await stack.enter_async_context(opening)
                await _listen(owner, key, elsewhere.partition)
        except (OSError, WebSocketException, ValueError, msgspec.MsgspecError) as error:
            why = f"the owner of partition {elsewhere.partition} does not take the stream: {type(error).__name__}"
            raise NotReady(elsewhere.partition, why) from None
        yield owner


async def follow(
    owner: ClientConnection, elsewhere: NotOwner, account: str, desk: Desk, say: Callable[[str], Awaitable[None]]
) -> None:
    """Hand each update on; raise `NotReady` when the owner ends the stream, or is it no longer."""
    moved = asyncio.create_task(_moved(elsewhere, account, desk))
    moved.add_done_callback(lambda task: None if task.cancelled() else owner.transport.abort())
    last = ""
    try:
        async for text in owner:
            head = _heads.decode(text)
            if head.stream == UPDATES:
                await say(text if isinstance(text, str) else text.decode())
            elif head.stream == "error":
                last = f": {_frames.decode(text).data.message}"
    except WebSocketException as error:
        last = last or f": {error}"
    finally:
        moved.cancel()
    raise NotReady(elsewhere.partition, f"partition {elsewhere.partition}: its owner ended the stream{last}")


async def _listen(owner: ClientConnection, key: Key, partition: int) -> None:
    pair = {"key_id": key.key_id, "secret_key": key.secret}
    for message in ({"action": "authenticate", "data": pair}, {"action": "listen", "data": {"streams": [UPDATES]}}):
        await owner.send(_encoder.encode(message).decode())
        answer = _frames.decode(await owner.recv())
        if answer.data.status == "unauthorized":
            raise NotReady(partition, f"the owner of partition {partition} does not know this key: compare keys.json")
        if answer.stream == "error":
            raise NotReady(partition, answer.data.message)


async def _moved(elsewhere: NotOwner, account: str, desk: Desk) -> None:
    """Return once the account is here, or somewhere else than it was."""
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            await desk.read(account, _nothing)
        except NotOwner as error:
            if error.url == elsewhere.url:
                continue
        except DeskError:
            continue
        return


def _nothing(_: State) -> None:
    return
