"""Stage streams: the feed, the topics, and what they say of themselves each minute."""
