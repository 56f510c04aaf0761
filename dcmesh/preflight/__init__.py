"""What existing clusters must have and must not have. They are looked at before anything is created in them."""
