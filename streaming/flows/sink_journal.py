"""Journal records go to the lake byte for byte."""

from functools import partial

from streaming.flow import Flow
from streaming.journal_rows import Journal
from streaming.journal_sink import JournalSink
from trading.schemas import JOURNAL_V1, ORDERS_JOURNAL

FLOW = Flow("sink-journal", ORDERS_JOURNAL.name, partial(JournalSink, table=JOURNAL_V1, rows=Journal))
