"""Lambda's part: functions built, started, invoked and ended."""
