"""Read models and services for people, sensors and checks. No stage needs them."""
