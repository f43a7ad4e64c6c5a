"""The event schema, the structlog set-up and the readers of logs."""
