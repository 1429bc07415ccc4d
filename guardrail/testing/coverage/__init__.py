"""Which policies and conditions a suite of tests has evaluated."""
