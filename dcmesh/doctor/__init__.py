"""Doctor: walks a link hop by hop and names the first that is broken."""
