"""Random histories, duplicates and late reports among them, beside the reference: I1 to I9, I11, I12, I14 and I19."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.trading.orders.builders import T0, XYZ, ack, canceled, desk, fill, kinds, market, oid, submit
from tests.trading.orders.reference import Reference
from trading.commands import AnyCommand, CancelOrder, Kill, Revive, VenueState, VenueUnknown
from trading.events import AnyEvent, OrderRefused
from trading.orders.journal import append, fold, read_record, split, verify
from trading.orders.oms import decide
from trading.orders.snapshot import all_rows, restore, state_hash, watermark
from trading.orders.transitions import TERMINAL
from trading.risk.market import MarketView

CENT = 10**7
CIDS = st.sampled_from([f"c{n}" for n in range(8)])
PRICES = st.integers(9_700, 10_300)


class Desk(RuleBasedStateMachine):
    """Drive both desks with the same commands and compare after each."""

    def __init__(self) -> None:
        super().__init__()
        self.state = desk(max_position_qty="40", max_open_orders=2)
        self.model = Reference(40, 2, 10**8)
        self.genesis = state_hash(self.state)
        self.records: list[bytes] = []
        self.versions: dict[str, int] = {}
        self.ended: dict[str, str] = {}

    def do(self, command: AnyCommand) -> list[AnyEvent]:
        view: MarketView = market()
        events = decide(self.state, command, view)
        for account, group in split(events):
            self.records.append(append(self.state, account, "x", T0, group))
        return events

    @rule(cid=CIDS, side=st.sampled_from([1, -1]), qty=st.integers(1, 30), price=PRICES)
    def submit(self, cid: str, side: int, qty: int, price: int) -> None:
        text = f"{price // 100}.{price % 100:02d}"
        wanted = self.model.submit(cid, side, qty, price)
        events = self.do(submit(cid, side="buy" if side > 0 else "sell", qty=str(qty), limit_price=text))
        if wanted == "accepted":
            assert kinds(events) == ["order_accepted"]
        elif wanted == "repeat":
            assert events == []
        else:
            assert isinstance(events[0], OrderRefused)
            assert (events[0].code == "ID_REUSED") is (wanted == "reused")

    @rule(cid=CIDS)
    def acknowledge(self, cid: str) -> None:
        self.do(ack(cid))

    @rule(trade=st.integers(0, 9), cid=CIDS, qty=st.integers(1, 12), price=PRICES)
    def fill(self, trade: int, cid: str, qty: int, price: int) -> None:
        order = self.model.orders.get(cid)
        side = "sell" if order is not None and order.side < 0 else "buy"
        wanted = self.model.fill(f"t{trade}", cid, qty, price)
        text = f"{price // 100}.{price % 100:02d}"
        tags = kinds(self.do(fill(f"t{trade}", cid, qty=str(qty), side=side, price=text)))
        if wanted == "applied":
            assert tags[0] == "order_filled"
        elif wanted == "repeat":
            assert tags == []
        else:
            assert "order_filled" not in tags

    @rule(cid=CIDS)
    def cancel(self, cid: str) -> None:
        self.do(CancelOrder(account="a", ts_ns=T0, order=oid(cid)))

    @rule(cid=CIDS)
    def ended_at_the_venue(self, cid: str) -> None:
        self.do(canceled(cid))
        self.model.end(cid)

    @rule(cid=CIDS)
    def doubt(self, cid: str) -> None:
        self.do(VenueUnknown(account="a", ts_ns=T0, order=oid(cid)))

    @rule(cid=CIDS, found=st.booleans())
    def resolve(self, cid: str, found: bool) -> None:
        self.do(VenueState(account="a", ts_ns=T0, order=oid(cid), found=found, status="new" if found else ""))
        row = self.state.orders.get(oid(cid))
        if row is not None and row.status == "rejected":
            self.model.end(cid)

    @precondition(lambda self: not self.model.killed)
    @rule()
    def kill(self) -> None:
        self.do(Kill(account="", ts_ns=T0, actor="ann"))
        self.model.killed = True

    @precondition(lambda self: self.model.killed)
    @rule()
    def revive(self) -> None:
        self.do(Revive(account="", ts_ns=T0, actor="bob"))
        self.model.killed = False

    @rule()
    def crash(self) -> None:
        before = state_hash(self.state)
        self.state, _ = restore([*all_rows(self.state), watermark(self.state, 0)])
        assert state_hash(self.state) == before

    @invariant()
    def both_agree(self) -> None:
        exposure = self.state.accounts["a"].exposure
        holding = exposure.holdings.get(XYZ.id)
        if holding is None:
            assert self.model.position == 0
            return
        assert holding.qty == self.model.position
        assert exposure.cash == self.model.cash * CENT
        assert holding.cost - holding.realised == self.model.paid * CENT
        assert (holding.buy_open, holding.sell_open) == (self.model.reserved(1), self.model.reserved(-1))
        assert exposure.open_orders == len(self.model.open()) == len(self.state.accounts["a"].open)
        for cid, order in self.model.orders.items():
            row = self.state.orders[oid(cid)]
            assert (row.filled, row.overfilled, row.ended) == (order.filled, order.over, order.ended)
            assert row.leaves == order.qty - order.filled
            assert row.version >= self.versions.get(cid, 0)
            self.versions[cid] = row.version
            if row.status in TERMINAL:
                assert self.ended.setdefault(cid, row.status) == row.status

    @invariant()
    def exposure_stays_within_the_limit(self) -> None:
        if self.model.halted or any(order.over for order in self.model.orders.values()):
            return
        late = sum(1 for order in self.model.orders.values() if order.ended and 0 < order.filled < order.qty)
        if not late:
            assert self.model.position + self.model.reserved(1) <= 40
            assert self.model.reserved(-1) - self.model.position <= 40

    def teardown(self) -> None:
        again = desk(max_position_qty="40", max_open_orders=2)
        assert state_hash(again) == self.genesis
        for payload in self.records:
            fold(again, read_record(payload))
        assert state_hash(again) == state_hash(self.state)
        assert verify(self.records) == (self.state.seq, self.state.hash)


Desk.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDesk = Desk.TestCase
