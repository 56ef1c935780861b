"""One command becomes its journal records in one synchronous step: decide, evolve, seal. No await, so no locks."""

import msgspec

from streaming.owner.desk import Answer
from trading.commands import AnyCommand
from trading.events import AnyEvent, OrderRefused
from trading.orders.journal import append, split
from trading.orders.oms import decide
from trading.orders.state import State
from trading.risk.market import MarketView


class Applied(msgspec.Struct, frozen=True, gc=False):
    """The answer, and (account, sealed record) pairs that must be written in this order."""

    answer: Answer
    records: list[tuple[str, bytes]]


def apply(
    state: State, command: AnyCommand, cause: str, ts_ns: int, market: MarketView, *, keep_cause: bool = False
) -> Applied:
    """Decide at `ts_ns` and change the state. With `keep_cause` a command without events leaves an empty record.

    A command over several accounts gives one record for each; all but the last carry a part of the cause, so that
    the cause counts as worked only when everything is written.
    """
    stamped = msgspec.structs.replace(command, ts_ns=ts_ns)
    events = decide(state, stamped, market)
    groups = split(event for event in events if not _is_answer_only(event))
    if not groups and keep_cause:
        groups = [(command.account, [])]
    last = len(groups) - 1
    records = [
        (account, append(state, account, cause if number == last else f"{cause}/{number}", ts_ns, chosen))
        for number, (account, chosen) in enumerate(groups)
    ]
    owner = state.accounts.get(command.account)
    answer = Answer(
        seq=state.seq,
        events=tuple(events),
        ts_ns=ts_ns,
        account_seq=state.partition_seq if owner is None else owner.seq,
    )
    return Applied(answer, records)


def _is_answer_only(event: AnyEvent) -> bool:
    return isinstance(event, OrderRefused) and event.repeat
