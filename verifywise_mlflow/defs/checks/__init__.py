"""Asset checks: a check per rule of the policies, and checks of data quality."""
