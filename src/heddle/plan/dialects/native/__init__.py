"""The native dialect: a provider's own tool calls, a plan of one level."""
