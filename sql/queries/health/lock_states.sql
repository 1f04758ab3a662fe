-- One writer at a time, so that nobody takes a state for the newest that is not.
lock table herald.health_state in share row exclusive mode
