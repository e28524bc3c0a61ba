"""What urlshot is about: pure values and rules, which know no vendor and do no I/O."""
