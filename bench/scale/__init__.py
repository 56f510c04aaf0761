"""Scale: what each further export costs, at both sites."""
