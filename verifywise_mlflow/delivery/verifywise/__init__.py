"""The target VerifyWise: writes inventory entries, risks, evidence, custom fields and metrics over REST."""
