"""The rewoo dialect: plans and evidence variables."""
