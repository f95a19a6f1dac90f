"""What flows: samples, exact time, outcomes, errors, configuration and the registry."""
