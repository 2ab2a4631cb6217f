"""The llmcompiler dialect: numbered calls, and a join."""
