"""Redaction: secrets and personal data are removed before anything is stored. Only the token scanner's cache does I/O.

These modules define what is recognized. After a change in one of them, increase ``RULES_REVISION`` in ``settings.py``,
so that stored texts are redacted again.

- ``token_scanner``: tokens in the formats of vendors.
- ``secret_patterns``: secrets by their context, such as headers, SQL and key files.
- ``assigned_values``: the value after a key that announces a secret, in the syntaxes of settings, code, JSON and YAML.
- ``command_lines``: passwords in the arguments of programs.
- ``uri_credentials``: credentials within URIs and connection strings.
- ``secret_key_names``: which keys announce a secret.
- ``secret_values``: which values are not secrets, such as placeholders and references.
- ``personal_data``: personal data with a recognizable format.
- ``exempt_fields``: the fields that are not redacted.
"""
