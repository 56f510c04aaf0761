"""What database servers are asked and told."""
