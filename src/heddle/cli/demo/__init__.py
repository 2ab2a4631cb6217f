"""The demo: recorded replies, real tools, three speeds side by side, measured."""
