"""For tests of your own: virtual time, scripted and simulated models."""
