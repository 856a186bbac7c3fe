"""From measured service times to nodes: queueing theory, and a simulation of what theory has no formula for."""
