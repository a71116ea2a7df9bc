"""Rules and policies: loading, validation, examples, and the CEL expressions that rules are written in."""
