"""The validation gate of the platform: its checks, one module for each kind."""
