"""What somebody should look at, told once: what has become wrong or well again, to a log, a webhook and mailboxes."""
