"""Brokers. `log://` is embedded and single process, `kafka://` is Apache Kafka; one contract suite runs on both."""
