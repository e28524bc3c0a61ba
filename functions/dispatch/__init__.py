"""Takes batches of messages; for each it takes a slot, claims the job, invokes `render` and parks the message."""
