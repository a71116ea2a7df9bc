"""Asset checks: one per policy rule, and checks of the data itself."""
