"""Executions go to the lake."""

from functools import partial

from streaming.flow import Flow
from streaming.journal_rows import Fills
from streaming.journal_sink import JournalSink
from trading.schemas import FILLS_V1, ORDERS_JOURNAL

FLOW = Flow("sink-fills", ORDERS_JOURNAL.name, partial(JournalSink, table=FILLS_V1, rows=Fills))
