"""What is taken out of a customer's texts before anything is stored: unwanted keys, secrets, personal data. Pure."""
