"""What somebody else has written into a site that touches its links, now or once they are there."""
