"""Stage lake: bronze tables that the sinks write, clean tables that are written here, compaction."""
