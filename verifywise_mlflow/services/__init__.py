"""Read models and services for people, sensors and checks, that no stage needs."""
