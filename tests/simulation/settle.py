"""The quiet end: the line is empty, both sides are compared once, and then nothing differs that can be mended."""

from tests.simulation.ledger import key_of
from tests.simulation.world import ViolationError, World
from trading.orders.reconcile import Difference, VenueView, reconcile

GRACE_NS = 60 * 10**9


def settle(world: World) -> None:
    """Empty the line to the exchange, drop what is on its way back, reconcile, and check that it converged."""
    world.flush()
    world.now_ns += GRACE_NS
    while world.requests:
        world.exchange.work(world.requests.pop(0), "answer", world.now_ns)
    world.reports.clear()
    for account in world.accounts:
        _reconcile(world, account)
    world.flush()


def _reconcile(world: World, account: str) -> None:
    view = _view(world, account)
    found = reconcile(world.state, account, view, world.now_ns)
    mirrored = VenueView(venue=view.venue, orders=view.orders[::-1], fills=view.fills[::-1], positions=view.positions)
    if _ids(found) != _ids(reconcile(world.state, account, mirrored, world.now_ns)):
        raise ViolationError("i20_reconcile", "the result depends on the order of the venue's lists")
    for difference in found:
        if difference.fix is not None:
            world.produce(difference.fix)
    again = [d for d in reconcile(world.state, account, _view(world, account), world.now_ns) if d.fix is not None]
    if again:
        raise ViolationError("i20_reconcile", f"a second pass still finds {again}")
    for fill in view.fills:
        if key_of(fill) not in world.ledger.books[account].trades:
            raise ViolationError("i20_reconcile", f"{fill} is at the venue and not here")


def _view(world: World, account: str) -> VenueView:
    retired = {id_ for id_, order in world.ledger.orders.items() if order.retired}
    view = world.exchange.view(account, retired)
    positions = {name: qty for name, qty in world.ledger.books[account].positions.items() if qty}
    return VenueView(venue=view.venue, orders=view.orders, fills=view.fills, positions=positions)


def _ids(found: list[Difference]) -> list[str]:
    return sorted(difference.id for difference in found)
