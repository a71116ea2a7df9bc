"""OpenSSF Model Signing (OMS) 1.0: exports a manifest as a statement and verifies model signatures. Pure."""
