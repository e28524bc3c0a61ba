"""A batch of messages: claims each job, has it rendered, settles and announces it."""
