"""What existing clusters must have and must not have, looked at before anything is created in them."""
