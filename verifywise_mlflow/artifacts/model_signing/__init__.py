"""OpenSSF Model Signing (OMS) 1.0: our manifest in its form, and what a signature beside a model is worth. Pure."""
