"""The owner of accounts: one partition, one state, one writer; nothing is answered before it is durable."""
