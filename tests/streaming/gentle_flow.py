"""The probe flow without its faults: what made the first one hang or raise is a plain value here."""

from streaming.flow import Flow
from tests.streaming.probe_flow import TOPIC, Probe


class Gentle(Probe):
    """Obeys nothing."""

    async def _obey(self, text: str) -> None:
        """Take every value as it is."""


FLOW = Flow("probe", TOPIC, Gentle)
