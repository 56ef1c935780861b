"""The doors to everything that is not a topic: feeds, the lake, telemetry."""
