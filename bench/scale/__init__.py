"""Scale: what each additional export costs at both sites."""
