"""The target VerifyWise: an inventory entry per version, risks, evidence, custom fields and metrics, over REST."""
