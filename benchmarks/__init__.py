"""What reading a registry costs: requests to the server, our CPU and our memory, beside MLflow's own client.

``make bench`` runs it. It is no test, and nothing depends on its figures.
"""
