"""Front ends that speak the peers' words and translate them into recipes."""
